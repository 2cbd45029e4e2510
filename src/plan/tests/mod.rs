//! Plans without a device: each element is visited exactly once, and no limit is exceeded.

#![allow(clippy::expect_used, clippy::panic)]

mod variants;

use super::*;
use crate::shape::Layout;
use proptest::prelude::*;
use std::collections::HashSet;

const TRAINING: Operation = Operation::Forward { mode: Mode::TRAINING, in_place: false };
const BACKWARD: Operation = Operation::Backward {
    mode: Mode::TRAINING,
    dx: true,
    in_place: false,
    dweight: Some(Accumulation::Replace),
    dbias: Some(Accumulation::Add),
};

fn shape(sizes: &[usize], layout: Layout) -> Shape {
    Shape::new(sizes, layout).expect("a valid shape")
}

fn plan(shape: &Shape, operation: Operation, device: &DeviceTraits) -> Plan {
    Plan::new(shape, &Options::new(shape.channels()), operation, device).expect("a plan")
}

fn is_over_tensors(dispatch: &Dispatch) -> bool {
    dispatch.pieces.iter().any(|piece| piece.size.is_some())
}

/// What the shaders do with one dispatch: calls `visit(element, split, channel)` for each value that a
/// lane loads, by the arithmetic of tile.wgsl and layout/*.wgsl, word for word.
fn walk(dispatch: &Dispatch, mut visit: impl FnMut(u64, u32, u32)) {
    let (params, tile) = (&dispatch.params, &dispatch.tile);
    let last = dispatch.files.contains(&shader::parts::CHANNELS_LAST);
    let lane_channels = if last { tile.width } else { 1 };
    let offset = dispatch.pieces.iter().find_map(|piece| piece.size.and(Some(piece.offset))).unwrap_or(0);
    let [width, splits, depth] = dispatch.grid;
    for (z, split, x) in
        (0..depth).flat_map(|z| (0..splits).flat_map(move |y| (0..width).map(move |x| (z, y, x))))
    {
        let channel_tile = z * params.grid_width + x;
        if channel_tile >= params.channel_tiles {
            continue;
        }
        for lane in 0..tile.lanes() {
            let channel = channel_tile * tile.columns + lane % tile.columns;
            let position = split * tile.positions() as u32 + lane / tile.columns;
            let left = if channel < params.channels { params.positions.saturating_sub(position) } else { 0 };
            let loads = left.div_ceil(tile.rows);
            let (mut index, mut column) = if last {
                (params.base.wrapping_add(position.wrapping_mul(params.row_length)).wrapping_add(channel), 0)
            } else {
                let sample = sample_of(position, params);
                let column = position - sample * params.row_length;
                let start = params.base.wrapping_add(sample.wrapping_mul(params.sample_stride));
                (start.wrapping_add(channel.wrapping_mul(params.row_length)).wrapping_add(column), column)
            };
            for k in 0..tile.unroll * tile.blocks {
                if k < loads {
                    for i in 0..tile.width {
                        let element = u64::from(index) * u64::from(tile.width) + u64::from(i);
                        let c = (params.first_channel + channel) * lane_channels + if last { i } else { 0 };
                        visit(offset / WORD_BYTES + element, params.first_split + split, c);
                    }
                }
                if last {
                    index = index.wrapping_add(params.step_index);
                } else {
                    let wraps = column >= params.wrap_from;
                    index = index.wrapping_add(if wraps { params.wrap_index } else { params.step_index });
                    column = column.wrapping_add(if wraps { params.wrap_column } else { params.step_column });
                }
            }
        }
    }
}

/// `sample_of` of layout/channels_first.wgsl.
fn sample_of(position: u32, params: &Params) -> u32 {
    let guess = (position as f32 * params.inverse_row_length) as u32;
    let rest = position.wrapping_sub(guess.wrapping_mul(params.row_length)) as i32;
    let sample = guess.wrapping_add((rest as f32 * params.inverse_row_length).floor() as i32 as u32);
    let column = position.wrapping_sub(sample.wrapping_mul(params.row_length)) as i32;
    match column {
        ..0 => sample.wrapping_sub(1),
        column if column >= params.row_length as i32 => sample + 1,
        _ => sample,
    }
}

#[test]
fn samples_are_found_without_a_division() {
    let row_lengths = [1u32, 2, 3, 7, 49, 784, 3136, 65_537, 16_777_259, 1 << 30];
    for row_length in row_lengths {
        let params = Params {
            row_length,
            inverse_row_length: (1.0 / f64::from(row_length)) as f32,
            ..Params::default()
        };
        let multiples = (0..32).map(|bit| (1u32 << bit) / row_length * row_length);
        let near = multiples.flat_map(|m| [m.wrapping_sub(1), m, m + 1, m + row_length / 2]);
        // Beyond 2³¹ a position has no part: parts have fewer elements.
        for position in near.filter(|&position| position < 1 << 31) {
            // A reciprocal that the device rounds the other way must not matter.
            for ulp in [-1, 0, 1] {
                let inverse = f32::from_bits(params.inverse_row_length.to_bits().wrapping_add_signed(ulp));
                let params = Params { inverse_row_length: inverse, ..params };
                assert_eq!(sample_of(position, &params), position / row_length, "{position} / {row_length}");
            }
        }
    }
}

/// Each dispatched step over the tensors visits each element once, under its own channel, and each
/// record that is merged later was left by some tile.
fn check_coverage(shape: &Shape, plan: &Plan) {
    let mut channel_of = vec![0u32; shape.elements()];
    for n in 0..shape.samples() {
        for c in 0..shape.channels() {
            for s in 0..shape.spatial() {
                channel_of[shape.index(n, c, s)] = c as u32;
            }
        }
    }
    let steps: HashSet<Step> =
        plan.dispatches.iter().filter(|d| is_over_tensors(d)).map(Dispatch::step).collect();
    for step in steps {
        let mut visits = vec![0u8; shape.elements()];
        let mut records = HashSet::new();
        for dispatch in plan.dispatches.iter().filter(|dispatch| dispatch.step == step) {
            walk(dispatch, |element, split, channel| {
                visits[element as usize] += 1;
                assert_eq!(channel_of[element as usize], channel, "{shape} {step:?} element {element}");
                records.insert((split, channel));
            });
        }
        assert!(visits.iter().all(|&visits| visits == 1), "{shape} {step:?}: {visits:?}");
        if matches!(step, Step::Statistics | Step::BackwardReduce) {
            let merged = plan.dispatches.iter().find(|dispatch| !is_over_tensors(dispatch)).expect("a merge");
            assert_eq!(records.len(), merged.params.splits as usize * shape.channels(), "{shape} {step:?}");
        }
    }
}

fn check_limits(shape: &Shape, plan: &Plan, device: &DeviceTraits) {
    let tensor_bytes = shape.elements() as u64 * WORD_BYTES;
    for dispatch in &plan.dispatches {
        let context = format!("{shape} {:?} {:?}", dispatch.step, dispatch.tile);
        let [x, y, z] = dispatch.grid;
        assert!(x.min(y).min(z) > 0, "{context}");
        assert!(x.max(y).max(z) <= device.max_compute_workgroups_per_dimension, "{context}");
        assert!(u64::from(x) * u64::from(z) >= u64::from(dispatch.params.channel_tiles), "{context}");
        assert!(dispatch.tile.lanes() <= device.max_compute_invocations_per_workgroup, "{context}");
        let workgroup_bytes = dispatch.tile.lanes() * 16 * dispatch.tile.width.max(1);
        assert!(workgroup_bytes <= device.max_compute_workgroup_storage_size, "{context}");
        // lavapipe leaves all loops of an invocation after 65,535 iterations.
        let merges = dispatch.params.splits.div_ceil(dispatch.tile.rows);
        assert!(dispatch.tile.blocks + merges < 65_535, "{context}");
        for piece in &dispatch.pieces {
            assert_eq!(piece.offset % u64::from(device.min_storage_buffer_offset_alignment), 0, "{context}");
            if let Some(size) = piece.size {
                assert!(size > 0 && size <= device.max_storage_buffer_binding_size, "{context}");
                assert!(piece.offset + size <= tensor_bytes, "{context}");
                assert_eq!(size % (u64::from(dispatch.tile.width) * WORD_BYTES), 0, "{context}");
            }
        }
        assert!(dispatch.pieces.len() <= 8, "{context}: WebGPU grants 8 storage buffers");
    }
    for range in [&plan.coefficients, &plan.records] {
        assert_eq!(range.start % u64::from(device.min_storage_buffer_offset_alignment), 0);
        assert!(range.end - range.start <= device.max_storage_buffer_binding_size, "{shape}: {range:?}");
    }
    assert!(plan.coefficients.end <= plan.records.start);
}

/// Sizes given channels first, in the order of the layout.
fn in_layout(sizes: &[usize], layout: Layout) -> Vec<usize> {
    let mut sizes = sizes.to_vec();
    if layout == Layout::ChannelsLast {
        sizes[1..].rotate_left(1);
    }
    sizes
}

fn tiny_device(kind: DeviceKind, binding: u64, alignment: u32) -> DeviceTraits {
    DeviceTraits {
        max_storage_buffer_binding_size: binding,
        min_storage_buffer_offset_alignment: alignment,
        max_compute_workgroups_per_dimension: 16,
        ..DeviceTraits::webgpu_defaults(kind)
    }
}

fn any_kind() -> impl Strategy<Value = DeviceKind> {
    prop_oneof![Just(DeviceKind::Gpu), Just(DeviceKind::Cpu)]
}

fn any_layout() -> impl Strategy<Value = Layout> {
    prop_oneof![Just(Layout::ChannelsFirst), Just(Layout::ChannelsLast)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_element_is_visited_once(
        kind in any_kind(), layout in any_layout(),
        n in 1usize..20, c in 1usize..40, s in 1usize..70,
    ) {
        let shape = shape(&in_layout(&[n, c, s], layout), layout);
        let device = DeviceTraits::webgpu_defaults(kind);
        for operation in [TRAINING, BACKWARD] {
            let plan = plan(&shape, operation, &device);
            check_coverage(&shape, &plan);
            check_limits(&shape, &plan, &device);
        }
    }

    #[test]
    fn tensors_larger_than_a_binding_are_covered_too(
        kind in any_kind(), layout in any_layout(), alignment in prop_oneof![Just(32u32), Just(256)],
        n in 1usize..6, c in 1usize..12, s in 1usize..300,
    ) {
        let shape = shape(&in_layout(&[n, c, s], layout), layout);
        let device = tiny_device(kind, 4096, alignment);
        for operation in [TRAINING, BACKWARD] {
            let plan = plan(&shape, operation, &device);
            check_coverage(&shape, &plan);
            check_limits(&shape, &plan, &device);
        }
    }
}

/// The sets of shapes that the benchmark knows, and the sizes that go wrong elsewhere.
const SHAPES: &[&[usize]] = &[
    &[64, 64, 112, 112],
    &[64, 2048, 7, 7],
    &[96, 32, 149, 149],
    &[20, 6, 65_536],
    &[4, 128, 1024, 1024],
    &[1, 512, 65_536],
    &[70_000, 1],
    &[2, 70_000],
    &[64, 257, 7, 7],
    &[32, 3, 224, 224],
    &[4096, 1024],
    &[16, 32, 16, 56, 56],
    &[1, 1, 1_000_000_007],
    &[2, 1_000_003],
    &[3, 3, 70_000_003],
    &[70_000, 3, 5],
    &[2, 65, 1],
    &[6_000_001, 2049],
];

#[test]
fn large_shapes_stay_within_the_limits() {
    for kind in [DeviceKind::Gpu, DeviceKind::Cpu] {
        let small = DeviceTraits::webgpu_defaults(kind);
        let large = DeviceTraits {
            max_storage_buffer_binding_size: 1 << 40,
            max_compute_invocations_per_workgroup: 1024,
            max_compute_workgroup_storage_size: 48 << 10,
            ..small.clone()
        };
        for sizes in SHAPES {
            for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
                for (device, operation) in
                    [(&small, TRAINING), (&small, BACKWARD), (&large, TRAINING), (&large, BACKWARD)]
                {
                    let shape = shape(&in_layout(sizes, layout), layout);
                    check_limits(&shape, &plan(&shape, operation, device), device);
                }
            }
        }
    }
}

#[test]
fn moves_are_counted() {
    let shape = shape(&[64, 64, 56, 56], Layout::ChannelsFirst);
    let device = DeviceTraits::webgpu_defaults(DeviceKind::Gpu);
    let evaluation = |dx| Operation::Backward {
        mode: Mode::EVALUATION,
        dx,
        in_place: false,
        dweight: (!dx).then_some(Accumulation::Replace),
        dbias: None,
    };
    let cases = [
        (TRAINING, 3.0),
        (Operation::Forward { mode: Mode::EVALUATION, in_place: true }, 2.0),
        (BACKWARD, 5.0),
        (evaluation(true), 2.0),
        (evaluation(false), 2.0),
    ];
    for (operation, moves) in cases {
        assert_eq!(plan(&shape, operation, &device).moves(), moves, "{operation:?}");
    }
}

#[test]
fn what_the_kernels_cannot_address_is_refused() {
    let device = DeviceTraits::webgpu_defaults(DeviceKind::Gpu);
    let many = shape(&[2, 7_000_000], Layout::ChannelsFirst);
    let error = Plan::new(&many, &Options::new(7_000_000), TRAINING, &device);
    assert!(
        matches!(error, Err(PlanError::TooManyChannels { actual: 7_000_000, max: 6_710_886, .. })),
        "{error:?}"
    );
    let long = shape(&[5, 1, 1 << 30], Layout::ChannelsFirst);
    let error = Plan::new(&long, &Options::new(1), TRAINING, &device);
    assert!(matches!(error, Err(PlanError::TooManyValues { max: u32::MAX, .. })), "{error:?}");
    let endless = shape(&[(1 << 32) - 1, 6_700_000], Layout::ChannelsFirst);
    let error = Plan::new(&endless, &Options::new(6_700_000), TRAINING, &device);
    assert!(matches!(error, Err(PlanError::TooManyBindings { .. })), "{error:?}");
    let small = shape(&[2, 3, 4], Layout::ChannelsFirst);
    for (device, limit) in [
        (
            DeviceTraits { min_storage_buffer_offset_alignment: 0, ..device.clone() },
            "min_storage_buffer_offset_alignment",
        ),
        (
            DeviceTraits { max_compute_workgroups_per_dimension: 0, ..device.clone() },
            "max_compute_workgroups_per_dimension",
        ),
        (
            DeviceTraits { max_storage_buffers_per_shader_stage: 4, ..device.clone() },
            "max_storage_buffers_per_shader_stage",
        ),
    ] {
        assert_eq!(Plan::new(&small, &Options::new(3), TRAINING, &device), Err(PlanError::Device { limit }));
    }
}
