//! The demo, small: a whole on-sale whose books balance, also when the server is killed in the middle.

use crate::bootstrap::programs;
use crate::support::World;
use std::process::Stdio;
use std::time::Duration;
use tessera_demo::Options;

#[tokio::test(flavor = "multi_thread")]
async fn a_small_sale_ends_with_balanced_books() {
    let world = World::new().await;
    let report =
        tessera_demo::run(Options::small(world.url.clone())).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((report.sold, report.oversold), (40, 0));
    assert_eq!(world.dead_letters(), 0);
}

/// `tessera` on a folder and a port; killed when dropped.
fn server(program: &std::path::Path, data: &std::path::Path, port: u16) -> tokio::process::Child {
    tokio::process::Command::new(program)
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--data"])
        .arg(data)
        .env("RUST_LOG", "error")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

async fn up(url: &str) {
    for _ in 0..600 {
        if reqwest::get(format!("{url}/_local/health")).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{url} does not answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_the_middle_and_started_again_the_sale_ends_with_the_same_books() {
    let programs = tokio::task::spawn_blocking(programs).await.unwrap();
    let program = programs.join("tessera");
    let data = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let mut running = server(&program, data.path(), port);
    up(&url).await;
    let sale =
        tokio::spawn(tessera_demo::run(Options { capacity: 120, speed: 3.0, ..Options::small(url.clone()) }));
    // Three times, wherever it happens to be: the moment differs from run to run, the books must not.
    for pause in [2_500, 2_000, 1_500] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        running.kill().await.unwrap();
        running = server(&program, data.path(), port);
        up(&url).await;
    }
    let report = sale.await.unwrap().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.oversold, 0);
    running.kill().await.unwrap();
}
