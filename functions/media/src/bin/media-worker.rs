//! `media-worker`: see the crate's front page.

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tessera::queue::Error> {
    let app = tessera::run::start()?;
    tessera::run::worker(media::worker(app)?).await
}
