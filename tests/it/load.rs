//! The load at its smallest. What is measured is nobody's promise; that nothing is oversold, lost or answered wrongly is.

use crate::support::World;
use tessera_demo::load::{Options, Wanted, run};

#[tokio::test(flavor = "multi_thread")]
async fn under_load_places_add_up_and_nobody_gets_an_answer_that_is_not_expected() {
    let world = World::new().await;
    let load = run(Options {
        server: Some(std::process::id()),
        clients: vec![4],
        seconds: 1,
        events: 3,
        quiet: true,
        ..Options::new(world.url.clone())
    });
    let load = load.await.unwrap_or_else(|error| panic!("{error}"));
    let measured: Vec<_> = load.measured.iter().map(|one| (one.wanted, one.events, one.clients)).collect();
    let each = |events| Wanted::ALL.map(|wanted| (wanted, events, 4));
    assert_eq!(measured, [each(1), each(3)].concat());
    for one in &load.measured {
        assert!(one.done() >= 4, "each client is answered at least once: {one:?}");
    }
    let text = load.to_string();
    assert!(text.contains("What came through") && text.contains("The steps of a booking"), "{text}");
    assert!(text.contains("What one took") && text.contains("CPU server and clients"), "{text}");
    assert_eq!(world.dead_letters(), 0);
}
