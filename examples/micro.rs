#![allow(missing_docs, clippy::unwrap_used)]
use wgpu_batchnorm::*;
use std::time::Instant;
fn main() {
    let context = Context::new_blocking().unwrap();
    let d = context.device();
    let n: u64 = 64*64*3136; // f32
    let mk = |b: u64| d.create_buffer(&wgpu::BufferDescriptor{label:None,size:b,usage:wgpu::BufferUsages::STORAGE|wgpu::BufferUsages::COPY_DST,mapped_at_creation:false});
    let x = mk(n*4); let y = mk(n*4); let c = mk(1<<16);
    context.queue().write_buffer(&x, 0, &vec![1u8; (n*4) as usize]);
    let mut runs = vec![];
    for file in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&file).unwrap();
        // first line: // groups W
        let per: u64 = text.lines().next().unwrap().trim_start_matches("// ").parse().unwrap(); // vec4s per workgroup
        let m = d.create_shader_module(wgpu::ShaderModuleDescriptor{label:None,source:wgpu::ShaderSource::Wgsl(text.into())});
        let p = d.create_compute_pipeline(&wgpu::ComputePipelineDescriptor{label:None,layout:None,module:&m,entry_point:Some("main"),compilation_options:Default::default(),cache:None});
        let mut entries = vec![wgpu::BindGroupEntry{binding:0,resource:x.as_entire_binding()},wgpu::BindGroupEntry{binding:1,resource:y.as_entire_binding()}];
        if std::fs::read_to_string(&file).unwrap().contains("binding(2)") { entries.push(wgpu::BindGroupEntry{binding:2,resource:c.as_entire_binding()}); }
        let g = d.create_bind_group(&wgpu::BindGroupDescriptor{label:None,layout:&p.get_bind_group_layout(0),entries:&entries});
        let groups = (n/4).div_ceil(per);
        runs.push((file, p, g, groups, vec![]));
    }
    for _ in 0..9 { for (_, p, g, groups, ts) in &mut runs {
        let mut e = d.create_command_encoder(&Default::default());
        { let mut pass = e.begin_compute_pass(&Default::default()); pass.set_pipeline(p); pass.set_bind_group(0,&*g,&[]);
          let w = (*groups).min(65535); pass.dispatch_workgroups(w as u32, groups.div_ceil(w) as u32, 1); }
        let cb=e.finish(); let t=Instant::now(); context.queue().submit([cb]); d.poll(wgpu::PollType::wait_indefinitely()).unwrap(); ts.push(t.elapsed().as_secs_f64()*1e3);
    }}
    for (f,_,_,g,mut ts) in runs { ts.sort_by(f64::total_cmp); println!("{f:32} groups {g:7} min {:.2} med {:.2} max {:.2}", ts[0], ts[4], ts[8]); }
}
