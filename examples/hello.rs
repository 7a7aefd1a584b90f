//! Hello in ten lines: `cargo run --example hello [URL]`.

use corebar::client::Connect;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or("ws://127.0.0.1:8080/".into());
    let session = Connect::new(&url, "realm1").open().await?;
    let mut hello = session.listen("com.example.hello").open().await?;
    let _add = session.offer("com.example.add").handle(async |a: i64, b: i64| a + b).await?;
    session.event("com.example.hello").arg("Hello!").to_all().send().await?;
    println!("event: {:?}", hello.next().await.map(|event| event.arg::<String>(0)));
    println!("2 + 3 = {}", session.ask("com.example.add").arg(2).arg(3).result::<i64>().await?);
    session.leave("wamp.close.normal").await;
    Ok(())
}
