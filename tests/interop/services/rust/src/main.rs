//! The interop services on the official Rust SDK. The contract (names, arguments, answers, side effects) is
//! the same as in ../../typescript/app.mjs; the tests do not know which one they talk to.
//!
//! PORT                where to listen
//! REQUEST_RESPONSE    set: HTTP/1.1, request/response; else HTTP/2, full duplex
//! SIDE_EFFECTS_FILE   one line per side effect: invocation id, tab, label

mod actions;
mod effects;
mod keyed;
mod services;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use restate_sdk::prelude::*;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;

/// The SDK's own server speaks HTTP/2 only; the endpoint behind it takes any request.
async fn serve_http_1(endpoint: Endpoint, address: SocketAddr) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let endpoint = endpoint.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request: hyper::Request<Incoming>| {
                let mode = ProtocolMode::RequestResponse;
                let response = endpoint.handle_with_options(
                    request,
                    HandleOptions {
                        protocol_mode: mode,
                    },
                );
                async move { Ok::<_, Infallible>(response) }
            });
            let connection = hyper::server::conn::http1::Builder::new();
            if let Err(error) = connection
                .serve_connection(TokioIo::new(stream), answer)
                .await
            {
                eprintln!("a connection ended: {error}");
            }
        });
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::var("PORT")
        .ok()
        .and_then(|port| port.parse().ok());
    let address = SocketAddr::from(([127, 0, 0, 1], port.expect("PORT is a port number")));
    if std::env::var("REQUEST_RESPONSE").is_ok_and(|value| !value.is_empty()) {
        let endpoint = services::exchange::bind(Endpoint::builder(), None).build();
        return serve_http_1(endpoint, address).await;
    }
    let endpoint = services::streaming::bind(Endpoint::builder(), None);
    let endpoint = services::idle::bind(endpoint, Some(Duration::ZERO)).build();
    HttpServer::new(endpoint).listen_and_serve(address).await;
    Ok(())
}
