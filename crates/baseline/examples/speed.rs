//! How fast the baseline is: milliseconds of each pass on the `quick` shapes, or on those given as N,C,S,
//! in both layouts, beside a copy of the same bytes with as many threads. Passes marked `new` write to
//! memory that they allocate, as PyTorch's do: beyond 32 MiB (glibc) that is fresh pages every time.
//!
//! ```sh
//! RAYON_NUM_THREADS=2 cargo run --release -p wgpu-batchnorm-baseline --example speed -- 30 64,64,3136
//! ```

use std::error::Error;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use wgpu_batchnorm::{Layout, Shape};
use wgpu_batchnorm_baseline::{backward, forward_eval, forward_train};

/// N, C, S.
const QUICK: [[usize; 3]; 3] = [[64, 64, 56 * 56], [32, 256, 14 * 14], [64, 512, 7 * 7]];
const EPS: f32 = 1e-5;
const WARM_UP: usize = 3;

/// One pass, which writes its tensor to the slice.
type Pass<'a> = dyn FnMut(&mut [f32]) -> Result<(), Box<dyn Error>> + 'a;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let repetitions = match arguments.next() {
        Some(text) => number(&text)?,
        None => 30,
    };
    let mut shapes = Vec::new();
    for text in arguments {
        match text.split(',').map(number).collect::<Result<Vec<_>, _>>()?[..] {
            [n, c, s] => shapes.push([n, c, s]),
            _ => return Err(format!("shape '{text}', expected N,C,S").into()),
        }
    }
    if shapes.is_empty() {
        shapes.extend(QUICK);
    }
    // This thread works too, instead of waking others and waiting for them.
    rayon::ThreadPoolBuilder::new().use_current_thread().build_global()?;
    println!("{} threads, f32, {repetitions} repetitions", rayon::current_num_threads());
    println!("{:<26} {:<16} {:>10} {:>10} {:>10}", "shape", "pass", "median ms", "min ms", "max ms");
    for [n, c, s] in shapes {
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
            let sizes = match layout {
                Layout::ChannelsFirst => [n, c, s],
                Layout::ChannelsLast => [n, s, c],
            };
            time(Shape::new(&sizes, layout)?, repetitions)?;
        }
    }
    Ok(())
}

fn time(shape: Shape, repetitions: usize) -> Result<(), Box<dyn Error>> {
    let x = noise(shape.elements(), 1);
    let dy = noise(shape.elements(), 2);
    let mut out = vec![0.0; shape.elements()];
    let (weight, bias) = (vec![1.5; shape.channels()], vec![0.5; shape.channels()]);
    let (weight, bias) = (Some(&weight[..]), Some(&bias[..]));
    let statistics = forward_train(shape, &x, weight, bias, EPS, &mut out)?;

    let mut row = |name: &str, pass: &mut Pass| {
        let mut reused = Vec::new();
        for _ in 0..WARM_UP + repetitions {
            let start = Instant::now();
            pass(&mut out)?;
            reused.push(start.elapsed());
        }
        report(shape, name, &reused);
        let mut new = Vec::new();
        for _ in 0..WARM_UP + repetitions {
            let start = Instant::now();
            let mut out = vec![0.0; shape.elements()];
            pass(&mut out)?;
            // Freed after the clock has stopped, as in `pytorch.py`.
            new.push(start.elapsed());
        }
        report(shape, &format!("{name} new"), &new);
        Ok::<(), Box<dyn Error>>(())
    };
    row("copy", &mut |y| {
        y.par_chunks_mut(1 << 16).zip(x.par_chunks(1 << 16)).for_each(|(y, x)| y.copy_from_slice(x));
        Ok(())
    })?;
    row("forward", &mut |y| {
        forward_train(shape, &x, weight, bias, EPS, y)?;
        Ok(())
    })?;
    row("backward", &mut |dx| {
        backward(shape, &x, &dy, weight, &statistics, dx)?;
        Ok(())
    })?;
    row("forward_eval", &mut |y| {
        let (mean, variance) = (&statistics.mean, &statistics.variance);
        forward_eval(shape, &x, weight, bias, mean, variance, EPS, y)?;
        Ok(())
    })
}

/// Prints the row of a pass, without the times of warming up.
fn report(shape: Shape, name: &str, times: &[Duration]) {
    let mut ms: Vec<_> = times.iter().skip(WARM_UP).map(|time| time.as_secs_f64() * 1e3).collect();
    ms.sort_by(f64::total_cmp);
    if let (Some(min), Some(median), Some(max)) = (ms.first(), ms.get(ms.len() / 2), ms.last()) {
        println!("{:<26} {name:<16} {median:>10.3} {min:>10.3} {max:>10.3}", shape.to_string());
    }
}

fn number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|error| format!("'{text}': {error}, expected [repetitions] [N,C,S]..."))
}

/// Values between −1 and 1, the same for the same `seed`.
fn noise(length: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
    .take(length)
    .collect()
}
