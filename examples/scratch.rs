#![allow(missing_docs, clippy::unwrap_used)]
use wgpu_batchnorm::*;
use std::time::Instant;
fn main() {
    let context = Context::new_blocking().unwrap();
    println!("{:?} {:?}", context.device().adapter_info().name, context.traits());
    for (dims, layout) in [(vec![64usize,64,56,56],Layout::ChannelsFirst),(vec![64,56,56,64],Layout::ChannelsLast),(vec![32,256,14,14],Layout::ChannelsFirst),(vec![32,14,14,256],Layout::ChannelsLast),(vec![64,512,7,7],Layout::ChannelsFirst),(vec![64,7,7,512],Layout::ChannelsLast),(vec![5,7,3],Layout::ChannelsFirst)] {
        let shape = Shape::new(&dims, layout).unwrap();
        let c = shape.channels();
        let bn = BatchNorm::new(&context, Options::new(c)).unwrap();
        let xs: Vec<f32> = (0..shape.elements()).map(|i| ((i as u64 * 2654435761 % 1000003) as f32 / 1000003.0) * 3.0 + 100.0).collect();
        let dys: Vec<f32> = (0..shape.elements()).map(|i| ((i as u64 * 40503 % 10007) as f32 / 10007.0) - 0.5).collect();
        let x = Tensor::upload(&context, shape, &xs).unwrap();
        let dy = Tensor::upload(&context, shape, &dys).unwrap();
        let y = Tensor::zeros(&context, shape).unwrap();
        let dx = Tensor::zeros(&context, shape).unwrap();
        let running = RunningStatistics::upload(&context, &RunningValues::start(c)).unwrap();
        let saved = SavedStatistics::new(&context, c).unwrap();
        let cs = Shape::new(&[1, c], Layout::ChannelsLast).unwrap();
        let w = Tensor::upload(&context, cs, &vec![1.5; c]).unwrap();
        let b = Tensor::upload(&context, cs, &vec![0.5; c]).unwrap();
        let dw = Tensor::zeros(&context, cs).unwrap();
        let db = Tensor::zeros(&context, cs).unwrap();
        let f = bn.bind_forward(&shape, Mode::Training, &ForwardTensors{ x: x.range().clone(), y: y.range().clone(), weight: Some(w.range().clone()), bias: Some(b.range().clone()), running: Some(&running), saved: &saved, workspace: None }).unwrap();
        let bw = bn.bind_backward(&shape, Mode::Training, &BackwardTensors{ x: x.range().clone(), dy: dy.range().clone(), weight: Some(w.range().clone()), saved: &saved, dx: Some(dx.range().clone()), dweight: Some((dw.range().clone(), Accumulation::Replace)), dbias: Some((db.range().clone(), Accumulation::Replace)), workspace: None }).unwrap();
        let time = |g: &dyn Fn(&mut wgpu::CommandEncoder)| {
            let mut ts = vec![];
            for _ in 0..7 { let mut e = context.device().create_command_encoder(&Default::default()); g(&mut e); let cb=e.finish(); let t=Instant::now(); context.queue().submit([cb]); context.device().poll(wgpu::PollType::wait_indefinitely()).unwrap(); ts.push(t.elapsed().as_secs_f64()*1e3); }
            ts.sort_by(f64::total_cmp); ts[3]
        };
        print!("{shape} fwd {:.2} bwd {:.2} |", time(&|e| f.record(e).unwrap()), time(&|e| bw.record(e).unwrap()));
        for s in [Step::Statistics, Step::Finalize, Step::Normalize] { print!(" {} {:.2}", s.stem(), time(&|e| f.record_step(e, s).unwrap())); }
        for s in [Step::BackwardReduce, Step::BackwardFinalize, Step::BackwardApply] { print!(" {} {:.2}", s.stem(), time(&|e| bw.record_step(e, s).unwrap())); }
        println!();
        f.record(&mut { context.device().create_command_encoder(&Default::default()) }).unwrap();
        let y = y.download_blocking().unwrap(); let dx = dx.download_blocking().unwrap();
        // check channel 1
        let cc = 1.min(c-1);
        let idx: Vec<usize> = (0..shape.samples()).flat_map(|n| (0..shape.spatial()).map(move |s| (n,s))).map(|(n,s)| shape.index(n,cc,s)).collect();
        let m = idx.iter().map(|&i| xs[i] as f64).sum::<f64>()/idx.len() as f64;
        let v = idx.iter().map(|&i| (xs[i] as f64-m).powi(2)).sum::<f64>()/idx.len() as f64;
        let is = 1.0/(v+1e-5).sqrt();
        let ey = idx.iter().map(|&i| (y[i] as f64 - ((xs[i] as f64-m)*is*1.5+0.5)).abs()).fold(0.0,f64::max);
        let sd = idx.iter().map(|&i| dys[i] as f64).sum::<f64>(); let sx = idx.iter().map(|&i| dys[i] as f64*(xs[i] as f64-m)*is).sum::<f64>();
        let nn=idx.len() as f64;
        let ed = idx.iter().map(|&i| (dx[i] as f64 - 1.5*is*(dys[i] as f64 - sd/nn - (xs[i] as f64-m)*is*sx/nn)).abs()).fold(0.0,f64::max);
        let st = pollster::block_on(saved.download(&context)).unwrap();
        println!("   y err {ey:.2e} dx err {ed:.2e} var rel {:.2e} dw {:.2e} db {:.2e}", (st.var[cc] as f64 - v)/v, dw.download_blocking().unwrap()[cc] as f64 - sx, db.download_blocking().unwrap()[cc] as f64 - sd);
    }
}
