//! Serves a folder on loopback, so that a browser takes it for a secure page, which WebGPU needs.

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use clap::Parser;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use tokio::net::TcpListener;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

/// Serve a folder on loopback until it is ended.
#[derive(Parser)]
struct Arguments {
    /// What to serve.
    folder: PathBuf,
    /// Where; 0 for any port that is free.
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

fn main() -> anyhow::Result<()> {
    let Arguments { folder, port } = Arguments::parse();
    ensure!(folder.is_dir(), "{} is no folder: build it with `cargo xtask web`", folder.display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.with_context(|| format!("cannot serve on port {port}: try --port 0"))?;
        println!("The page is at http://{}/ until Ctrl-C.", listener.local_addr()?);
        // What was built anew is loaded anew.
        let fresh = SetResponseHeaderLayer::overriding(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        let router = Router::new().fallback_service(ServeDir::new(folder)).layer(fresh);
        axum::serve(listener, router).await?;
        Ok(())
    })
}
