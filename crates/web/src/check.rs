//! Oracle cases on the page's device.

use std::path::Path;
use wgpu_batchnorm::Context;
use wgpu_batchnorm_oracle::{Case, Report, run_case};

/// Computes the case in `bytes`, the content of a file of this name, and judges it. Whatever goes wrong is its verdict.
pub async fn check(context: &Context, file: &str, bytes: &[u8]) -> Report {
    let path = Path::new(file);
    match Case::from_bytes(&wgpu_batchnorm_oracle::name_of(path), bytes) {
        Ok(case) => Report::of(path, &case, &run_case(context, &case).await),
        Err(error) => Report::failed(path, error.to_string()),
    }
}
