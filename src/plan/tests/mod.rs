//! Plans without a device: each element is visited exactly once, and no limit is exceeded.

#![allow(clippy::expect_used, clippy::panic)]

mod variants;

use super::*;
use crate::elementwise::Dtype;
use crate::mode::{Mode, Source};
use crate::shape::Layout;
use proptest::prelude::*;
use std::collections::HashSet;

const PASS: Pass = Pass { mode: Mode::TRAINING, residual: true, mask: true };
const TRAINING: Operation = Operation::Forward { pass: PASS, in_place: false };
const BACKWARD: Operation = Operation::Backward {
    pass: PASS,
    wanted: Wanted {
        dx: true,
        in_place: false,
        dresidual: true,
        dweight: Some(Accumulation::Replace),
        dbias: Some(Accumulation::Add),
        dstatistics: false,
    },
};
const DOUBLE: Operation =
    Operation::DoubleBackward { pass: PASS, ddweight: true, ddbias: true, grad_weight: true };

const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::BF16];

/// The same without a mask, which keeps tensors from being taken as vectors that lie across rows.
fn without_mask(operation: Operation) -> Operation {
    let pass = Pass { mask: false, ..PASS };
    match operation {
        Operation::Forward { in_place, .. } => Operation::Forward { pass, in_place },
        Operation::Backward { wanted, .. } => Operation::Backward { pass, wanted },
        Operation::DoubleBackward { ddweight, ddbias, grad_weight, .. } => {
            Operation::DoubleBackward { pass, ddweight, ddbias, grad_weight }
        }
        other => other,
    }
}

/// The three passes, with and without a mask.
fn passes() -> [Operation; 6] {
    let masked = [TRAINING, BACKWARD, DOUBLE];
    let [forward, backward, double] = masked.map(without_mask);
    [TRAINING, BACKWARD, DOUBLE, forward, backward, double]
}

fn shape(sizes: &[usize], layout: Layout) -> Shape {
    Shape::new(sizes, layout).expect("a valid shape")
}

fn plan(shape: &Shape, options: &Options, operation: Operation, device: &DeviceTraits) -> Plan {
    Plan::new(shape, options, operation, device).expect("a plan")
}

fn is_over_tensors(dispatch: &Dispatch) -> bool {
    dispatch.pieces.iter().any(|piece| piece.size.is_some())
}

/// An element as a lane comes by it.
#[derive(Debug)]
struct Visit {
    element: u64,
    group: u32,
    channel: u32,
    /// Entry of the mask.
    position: u64,
    record: u32,
    /// Whether it is written, in a kernel that reduces some channels and writes others.
    second: bool,
}

/// The tiles that the workgroups of a dispatch have, by the arithmetic of entry*.wgsl: channel tile, row of
/// tiles, and whether it is written in a kernel that reduces some and writes others.
fn tiles(dispatch: &Dispatch) -> Vec<(u32, u32, bool)> {
    let params = &dispatch.params;
    let [width, height, depth] = dispatch.grid;
    let mut tiles = Vec::new();
    for (z, y, x) in
        (0..depth).flat_map(|z| (0..height).flat_map(move |y| (0..width).map(move |x| (z, y, x))))
    {
        let i = z * params.grid_width + x;
        let row = params.first_tile_row.wrapping_add(y.wrapping_mul(params.tile_row_step));
        if i >= params.channel_tiles {
            continue;
        }
        if !dispatch.files.contains(&shader::parts::ENTRY_PIPELINED) {
            tiles.push((i, row, false));
            continue;
        }
        let both = 2 * params.first_run_tiles.min(params.second_run_tiles);
        let first = if i < both { i & 1 == 0 } else { params.first_run_tiles > params.second_run_tiles };
        let tile = if i < both { i / 2 } else { i - both / 2 };
        tiles.push(if first {
            (params.first_run_tile + tile, y, false)
        } else {
            (params.second_run_tile + tile, row, true)
        });
    }
    tiles
}

/// What the shaders do with one dispatch: calls `visit` for each value that a lane loads, by the
/// arithmetic of tile.wgsl and layout/*.wgsl, word for word.
fn walk(dispatch: &Dispatch, dtype: Dtype, mut visit: impl FnMut(Visit)) {
    let (params, tile) = (&dispatch.params, &dispatch.tile);
    let last = dispatch.files.contains(&shader::parts::CHANNELS_LAST);
    let straddling = dispatch.files.contains(&shader::parts::STRADDLING_ROWS);
    let odd = straddling || dispatch.files.contains(&shader::parts::ODD_ROWS);
    let ghost = dispatch.files.contains(&shader::parts::GROUPING_GHOST);
    let lane_channels = if last { tile.width } else { 1 };
    let offset_of = |wanted: &dyn Fn(Resource) -> bool| {
        dispatch.pieces.iter().find(|piece| wanted(piece.resource)).map_or(0, |piece| piece.offset)
    };
    let first_element = offset_of(&Resource::is_tensor) / dtype.bytes();
    let first_position = offset_of(&|resource| resource == Resource::Mask) / WORD_BYTES;
    for (channel_tile, y, second) in tiles(dispatch) {
        let group = if ghost { y / params.part_splits } else { 0 };
        let split = y - group * params.part_splits;
        for (lane, strip) in
            (0..tile.lanes()).flat_map(|lane| (0..tile.strips).map(move |strip| (lane, strip)))
        {
            let first = channel_tile * tile.lane_channels() as u32 + lane % tile.columns;
            let channel = first + strip * tile.columns;
            let position = split * tile.positions() as u32 + lane / tile.columns;
            let last_group = group + 1 == params.groups;
            let positions = if last_group { params.last_positions } else { params.positions };
            let left = if first < params.channels { positions.saturating_sub(position) } else { 0 };
            let loads = left.div_ceil(tile.rows);
            let visit_at = |element: u32, entry: u32, i: u32| Visit {
                element: first_element + u64::from(element),
                group: params.first_group + group,
                channel: (params.first_channel + channel) * lane_channels + i,
                position: first_position + u64::from(entry),
                record: (params.first_group + group) * params.splits + params.first_split + split,
                second,
            };
            if odd {
                let mut sample = sample_of(position, params);
                let mut column = position - sample * params.row_length;
                sample += group * params.group_length;
                for _ in 0..loads.min(tile.unroll * tile.blocks) {
                    if straddling {
                        for (element, entry, of_next) in
                            begun_in_row(params, tile.width, channel, sample, column)
                        {
                            let next = (channel + 1) % params.all_channels;
                            let channel = if of_next { next } else { channel };
                            visit(Visit { channel, ..visit_at(element, entry, 0) });
                        }
                    } else {
                        for (element, entry) in of_odd_row(params, tile.width, channel, sample, column) {
                            visit(visit_at(element, entry, 0));
                        }
                    }
                    let wraps = column >= params.wrap_from;
                    sample += params.step_samples + u32::from(wraps);
                    column = column.wrapping_add(if wraps { params.wrap_column } else { params.step_column });
                }
                continue;
            }
            let start = params.base.wrapping_add(group.wrapping_mul(params.group_stride));
            let (mut index, mut column) = if last {
                (start.wrapping_add(position.wrapping_mul(params.row_length)).wrapping_add(channel), 0)
            } else {
                let sample = sample_of(position, params);
                let column = position - sample * params.row_length;
                let row = sample
                    .wrapping_mul(params.sample_stride)
                    .wrapping_add(channel.wrapping_mul(params.row_length));
                (start.wrapping_add(row).wrapping_add(column), column)
            };
            let mut mask = params.mask_base + group * params.positions + position;
            for k in 0..tile.unroll * tile.blocks {
                for i in (0..tile.width).filter(|_| k < loads) {
                    let entry = if last { mask } else { mask * tile.width + i };
                    visit(visit_at(index * tile.width + i, entry, if last { i } else { 0 }));
                }
                mask += tile.rows;
                let wraps = !last && column >= params.wrap_from;
                index = index.wrapping_add(if wraps { params.wrap_index } else { params.step_index });
                column = column.wrapping_add(if wraps { params.wrap_column } else { params.step_column });
            }
        }
    }
}

/// The elements of its own row that a lane has of a vector, by layout/odd_rows.wgsl: which of the binding, and their
/// entries of the mask.
fn of_odd_row(
    params: &Params,
    width: u32,
    channel: u32,
    sample: u32,
    column: u32,
) -> impl Iterator<Item = (u32, u32)> {
    let row = params.base + channel * params.row_elements + sample * params.sample_stride;
    let index = row / width + column;
    let entry = params.mask_base + sample * params.row_elements;
    let part_row_elements = params.part_row_elements;
    (0..width).filter_map(move |offset| {
        let place = offset.wrapping_add((width * column).wrapping_sub(row % width));
        (place < part_row_elements).then(|| (width * index + offset, entry + place))
    })
}

/// The elements of a vector that begins in a lane's row, by layout/straddling_rows.wgsl: which of the binding, their
/// positions, and whether they are the next row's.
fn begun_in_row(
    params: &Params,
    width: u32,
    channel: u32,
    sample: u32,
    column: u32,
) -> impl Iterator<Item = (u32, u32, bool)> {
    let row = params.base + channel * params.row_elements + sample * params.sample_stride;
    let index = row.div_ceil(width) + column;
    let place = width * index - row;
    let row_elements = params.row_elements;
    let next_sample = sample + u32::from(channel + 1 == params.all_channels);
    (place..place + width).filter(move |_| place < row_elements).map(move |place| {
        let of_next = place >= row_elements;
        let (sample, place) = if of_next { (next_sample, place - row_elements) } else { (sample, place) };
        (row + place + if of_next { row_elements } else { 0 }, sample * row_elements + place, of_next)
    })
}

/// ⌊position / row_length⌋ by quotient.wgsl.
fn sample_of(position: u32, params: &Params) -> u32 {
    quotient(position, params.row_length, params.inverse_row_length)
}

/// `quotient` of quotient.wgsl.
fn quotient(n: u32, divisor: u32, inverse: f32) -> u32 {
    let guess = (n as f32 * inverse) as u32;
    let rest = n.wrapping_sub(guess.wrapping_mul(divisor)) as i32;
    let nearly = guess.wrapping_add((rest as f32 * inverse).floor() as i32 as u32);
    match n.wrapping_sub(nearly.wrapping_mul(divisor)) as i32 {
        ..0 => nearly.wrapping_sub(1),
        left if left >= divisor as i32 => nearly + 1,
        _ => nearly,
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
        let most = (1u32 << 31) + (1 << 30);
        let multiples = (0..32).map(|bit| (1u32 << bit) / row_length * row_length).chain([most]);
        let near = multiples.flat_map(|m| [m.wrapping_sub(1), m, m + 1, m + row_length / 2]);
        // A part has 2³⁰ elements at most, and the sample before it fewer than 2³¹.
        for position in near.filter(|&position| position <= most) {
            // A reciprocal that the device rounds the other way must not matter.
            for ulp in [-1, 0, 1] {
                let inverse = f32::from_bits(params.inverse_row_length.to_bits().wrapping_add_signed(ulp));
                let params = Params { inverse_row_length: inverse, ..params };
                assert_eq!(sample_of(position, &params), position / row_length, "{position} / {row_length}");
            }
        }
    }
}

/// Each dispatched step over the tensors visits each element once, under its own channel, group and
/// position, and each record that is merged later was left by some tile.
fn check_coverage(shape: &Shape, options: &Options, plan: &Plan) {
    let group = options.ghost_batch.unwrap_or(shape.samples());
    let mut expected = vec![(0u32, 0u32, 0u64); shape.elements()];
    for n in 0..shape.samples() {
        for c in 0..shape.channels() {
            for s in 0..shape.spatial() {
                let position = (n * shape.spatial() + s) as u64;
                expected[shape.index(n, c, s)] = (c as u32, (n / group) as u32, position);
            }
        }
    }
    let steps: HashSet<Step> =
        plan.dispatches.iter().filter(|d| is_over_tensors(d)).map(Dispatch::step).collect();
    for step in steps {
        let mut visits = vec![[0u8; 2]; shape.elements()];
        let mut records = HashSet::new();
        let pipelined = matches!(step, Step::ForwardPipelined | Step::BackwardPipelined);
        let dispatches: Vec<_> = plan.dispatches.iter().filter(|dispatch| dispatch.step == step).collect();
        for dispatch in &dispatches {
            let before = visits.clone();
            // Without a mask, no kernel asks where in the whole tensor the positions of a part begin.
            let masked = dispatch.pieces.iter().any(|piece| piece.resource == Resource::Mask);
            let is_placed = masked || dispatches.len() == 1;
            walk(dispatch, options.dtype, |visit| {
                let element = visit.element as usize;
                visits[element][usize::from(visit.second)] += 1;
                // What is written was reduced by a dispatch before.
                assert!(!visit.second || before[element] == [1, 0], "{shape} {step:?} {visit:?}");
                let position = if is_placed { visit.position } else { expected[element].2 };
                let found = (visit.channel, visit.group, position);
                assert_eq!(expected[element], found, "{shape} {step:?} {visit:?}");
                records.insert((visit.record, visit.channel));
            });
        }
        let expected = [1, u8::from(pipelined)];
        assert!(visits.iter().all(|&visits| visits == expected), "{shape} {step:?}: {visits:?}");
        if let Step::ForwardResident | Step::BackwardResident = step {
            let groups: HashSet<_> = records.iter().map(|&(record, _)| record).collect();
            assert_eq!(groups.len() as u64, plan.groups, "{shape} {step:?}: one tile has all values");
        }
        if matches!(step, Step::Statistics | Step::BackwardReduce | Step::DoubleBackwardReduce) {
            let merged = plan.dispatches.iter().find(|dispatch| !is_over_tensors(dispatch)).expect("a merge");
            let params = &merged.params;
            // Tiles beyond the end of a shorter last group leave empty records.
            let most = (params.all_groups - 1) * params.splits + params.last_splits;
            for &(record, _) in &records {
                assert!(record < most, "{shape} {step:?}: record {record} of {most}");
            }
            if options.ghost_batch.is_none() {
                assert_eq!(records.len(), most as usize * shape.channels(), "{shape} {step:?}");
            }
        }
    }
}

fn check_limits(shape: &Shape, dtype: Dtype, plan: &Plan, device: &DeviceTraits) {
    let tensor_bytes = (shape.elements() as u64 * dtype.bytes()).next_multiple_of(WORD_BYTES);
    for dispatch in &plan.dispatches {
        let context = format!("{shape} {dtype:?} {:?} {:?}", dispatch.step, dispatch.tile);
        let [x, y, z] = dispatch.grid;
        assert!(x.min(y).min(z) > 0, "{context}");
        assert!(x.max(y).max(z) <= device.max_compute_workgroups_per_dimension, "{context}");
        assert!(u64::from(x) * u64::from(z) >= u64::from(dispatch.params.channel_tiles), "{context}");
        assert!(dispatch.tile.lanes() <= device.max_compute_invocations_per_workgroup, "{context}");
        // A count and its carry are shared by a lane's channels, and fill what aligns a vector.
        let record_vectors = if dispatch.step == Step::DoubleBackwardReduce { 12 } else { 4 };
        let last = dispatch.files.contains(&shader::parts::CHANNELS_LAST);
        let lane_bytes = match dispatch.tile.width {
            width @ (2 | 4) if last => record_vectors * 4 * width,
            _ => (record_vectors + 1) * 4,
        };
        let workgroup_bytes = dispatch.tile.lanes() * lane_bytes;
        assert!(workgroup_bytes <= device.max_compute_workgroup_storage_size, "{context}");
        // Neighbouring strips are reduced without waiting for each other's lanes.
        assert!(dispatch.tile.strips == 1 || dispatch.tile.rows == 1, "{context}");
        // lavapipe leaves all loops of an invocation after 65,535 iterations. Strips are not one of them: they are unrolled.
        let merges = dispatch.params.splits.div_ceil(dispatch.tile.rows);
        let loops = if is_over_tensors(dispatch) {
            u64::from(dispatch.tile.blocks)
        } else {
            // The one that ends the merge counts too.
            u64::from(dispatch.params.groups) * u64::from(2 + merges)
        };
        assert!(loops < 65_535, "{context}: {loops} iterations");
        for piece in &dispatch.pieces {
            assert_eq!(piece.offset % u64::from(device.min_storage_buffer_offset_alignment), 0, "{context}");
            let Some(size) = piece.size else { continue };
            assert!(size > 0 && size <= device.max_storage_buffer_binding_size, "{context}: {size}");
            if piece.resource == Resource::Mask {
                let mask_bytes = shape.values_per_channel() as u64 * WORD_BYTES;
                assert!(piece.offset + size <= mask_bytes, "{context}");
            } else {
                assert!(piece.offset + size <= tensor_bytes, "{context}");
                let load = (u64::from(dispatch.tile.width) * dtype.bytes()).max(WORD_BYTES);
                assert_eq!(size % load, 0, "{context}");
            }
        }
        let most = device.max_storage_buffers_per_shader_stage as usize;
        assert!(dispatch.pieces.len() <= most, "{context}: {most} storage buffers are granted");
    }
    let places = [Some(&plan.coefficients), plan.records.as_ref(), Some(&plan.saved_of_batch)];
    let mut end = 0;
    for range in places.into_iter().flatten() {
        assert_eq!(range.start % u64::from(device.min_storage_buffer_offset_alignment), 0);
        assert!(range.end - range.start <= device.max_storage_buffer_binding_size, "{shape}: {range:?}");
        assert!(range.start >= end && range.end <= plan.workspace_bytes(), "{shape}: {range:?}");
        end = range.end;
    }
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

fn any_dtype() -> impl Strategy<Value = Dtype> {
    prop_oneof![Just(Dtype::F32), Just(Dtype::F16), Just(Dtype::BF16)]
}

fn any_ghost() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![3 => Just(None), 2 => (1usize..9).prop_map(Some)]
}

fn check_plans(
    shape: &Shape,
    dtype: Dtype,
    ghost_batch: Option<usize>,
    operations: &[Operation],
    device: &DeviceTraits,
) {
    let options = Options { dtype, ghost_batch, ..Options::new(shape.channels()) };
    for &operation in operations {
        for schedule in schedules() {
            match Plan::with_schedule(shape, &options, operation, device, &schedule) {
                Ok(plan) => {
                    check_coverage(shape, &options, &plan);
                    check_limits(shape, dtype, &plan, device);
                }
                Err(PlanError::Traversal { .. }) if schedule.traversal != Some(Traversal::Split) => {}
                Err(error) => panic!("{shape}: {error}"),
            }
        }
    }
}

/// The cost model's choice, each traversal, and some numbers that it would not choose.
fn schedules() -> Vec<Schedule> {
    let mut schedules = vec![Schedule::default()];
    schedules.extend(Traversal::ALL.map(Schedule::with_traversal));
    for traversal in Traversal::ALL {
        let schedule = Schedule::with_traversal(traversal);
        schedules.push(Schedule { workgroup: Some(5), unroll: Some(3), runs: Some(3), ..schedule });
        schedules.push(Schedule { width: Some(4), workgroup: Some(32), ..schedule });
        schedules.push(Schedule { width: Some(1), ..schedule });
        schedules.push(Schedule { workgroup: Some(64), tiles: Some(1), runs: Some(1000), ..schedule });
    }
    schedules
}

/// A device whose kernels may bind as much as they want, as nearly all do.
fn with_many_bindings(device: DeviceTraits) -> DeviceTraits {
    DeviceTraits { max_storage_buffers_per_shader_stage: 16, ..device }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_element_is_visited_once(
        kind in any_kind(), layout in any_layout(), dtype in any_dtype(), ghost in any_ghost(),
        n in 1usize..20, c in 1usize..40, s in 1usize..70,
    ) {
        let shape = shape(&in_layout(&[n, c, s], layout), layout);
        let device = DeviceTraits::webgpu_defaults(kind);
        check_plans(&shape, dtype, ghost, &passes(), &device);
        check_plans(&shape, dtype, ghost, &[TRAINING, BACKWARD], &with_many_bindings(device));
    }

    #[test]
    fn tensors_larger_than_a_binding_are_covered_too(
        kind in any_kind(), layout in any_layout(), alignment in prop_oneof![Just(32u32), Just(256)],
        dtype in any_dtype(), ghost in any_ghost(),
        n in 1usize..6, c in 1usize..12, s in 1usize..300,
    ) {
        let shape = shape(&in_layout(&[n, c, s], layout), layout);
        // Smaller bindings cannot hold the records of so many parts.
        let device = with_many_bindings(tiny_device(kind, 8192, alignment));
        check_plans(&shape, dtype, ghost, &passes(), &device);
    }
}

#[test]
fn strips_and_vectors_across_rows_visit_each_element_once() {
    let mut strips = HashSet::new();
    let mut straddling = HashSet::new();
    let schedules = [
        Schedule::default(),
        Schedule { tiles: Some(1), ..Schedule::default() },
        Schedule { unroll: Some(2), ..Schedule::default() },
        Schedule { width: Some(1), ..Schedule::default() },
    ];
    let cpu = DeviceTraits::webgpu_defaults(DeviceKind::Cpu);
    for (layout, channels, spatial) in [
        (Layout::ChannelsLast, 64, 9),
        (Layout::ChannelsLast, 96, 25),
        (Layout::ChannelsLast, 224, 5),
        (Layout::ChannelsLast, 512, 1),
        (Layout::ChannelsFirst, 12, 7),
        (Layout::ChannelsFirst, 4, 19),
    ] {
        // In one part, and in several.
        for device in [cpu.clone(), with_many_bindings(tiny_device(DeviceKind::Cpu, 32_768, 32))] {
            for (samples, dtype) in [1, 4, 9].into_iter().flat_map(|n| DTYPES.map(|dtype| (n, dtype))) {
                let shape = shape(&in_layout(&[samples, channels, spatial], layout), layout);
                let options = Options { dtype, ..Options::new(channels) };
                for (operation, schedule) in passes().into_iter().flat_map(|o| schedules.map(|s| (o, s))) {
                    let plan = Plan::with_schedule(&shape, &options, operation, &device, &schedule);
                    let plan = plan.expect("a plan");
                    check_coverage(&shape, &options, &plan);
                    check_limits(&shape, dtype, &plan, &device);
                    for dispatch in plan.dispatches.iter().filter(|dispatch| is_over_tensors(dispatch)) {
                        if dispatch.tile.strips > 1 {
                            strips.insert((dispatch.step, dtype, dispatch.tile.strips));
                        }
                        if dispatch.files.contains(&shader::parts::STRADDLING_ROWS) {
                            straddling.insert((dispatch.step, dtype));
                        }
                    }
                }
            }
        }
    }
    for dtype in DTYPES {
        for step in [Step::Statistics, Step::Normalize, Step::BackwardReduce, Step::BackwardApply] {
            let seen: Vec<_> = strips.iter().filter(|seen| (seen.0, seen.1) == (step, dtype)).collect();
            assert!(seen.len() > 1, "{step:?} {dtype:?}: {seen:?}");
        }
        for step in [Step::Normalize, Step::BackwardApply, Step::DoubleBackwardApply] {
            assert!(straddling.contains(&(step, dtype)), "{step:?} {dtype:?}: {straddling:?}");
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
                    let options = Options::new(shape.channels());
                    check_limits(&shape, Dtype::F32, &plan(&shape, &options, operation, device), device);
                }
            }
        }
    }
}

#[test]
fn moves_are_counted() {
    let shape = shape(&[64, 64, 56, 56], Layout::ChannelsFirst);
    let device = DeviceTraits::webgpu_defaults(DeviceKind::Gpu);
    let pass = |mode: Mode| Pass::from(mode);
    let backward = |mode, wanted| Operation::Backward { pass: pass(mode), wanted };
    let dweight = Wanted { dweight: Some(Accumulation::Replace), ..Wanted::default() };
    let dx = Wanted { dx: true, ..Wanted::default() };
    let residual = Pass { residual: true, ..pass(Mode::TRAINING) };
    let update = Mode { source: Source::Running, update: true };
    let cases = [
        (Operation::Forward { pass: pass(Mode::TRAINING), in_place: false }, 3.0),
        (Operation::Forward { pass: pass(Mode::EVALUATION), in_place: true }, 2.0),
        (Operation::Forward { pass: pass(update), in_place: false }, 3.0),
        (Operation::Forward { pass: residual, in_place: false }, 4.0),
        (backward(Mode::TRAINING, Wanted { dweight: dweight.dweight, ..dx }), 5.0),
        (backward(Mode::EVALUATION, dx), 2.0),
        (backward(Mode::EVALUATION, dweight), 2.0),
        (Operation::Statistics { pass: pass(Mode::TRAINING) }, 1.0),
        (Operation::MomentsBackward { mask: false }, 2.0),
        (Operation::Fold, 0.0),
        (DOUBLE, 8.0),
    ];
    for dtype in [Dtype::F32, Dtype::F16] {
        let options = Options { dtype, ..Options::new(64) };
        for (operation, moves) in cases {
            let plan = with_traversal(&shape, &options, operation, &device, Traversal::Split);
            assert_eq!((plan.moves(), plan.rereads()), (moves, 0.0), "{operation:?}");
        }
    }
    // The halves of other rows in the words of odd ones count for these.
    let odd = Shape::new(&[8, 16, 3, 1], Layout::ChannelsFirst).expect("a valid shape");
    let options = Options { dtype: Dtype::F16, ..Options::new(16) };
    for (operation, moves) in cases {
        let plan = with_traversal(&odd, &options, operation, &device, Traversal::Split);
        assert_eq!(plan.moves(), if operation == DOUBLE { 8.0 } else { moves }, "{operation:?}");
    }
    // An activation that a residual was added before makes both backward passes read it.
    let options = Options { activation: Activation::Silu, ..Options::new(64) };
    let wanted = Wanted { dresidual: true, ..dx };
    let operation = Operation::Backward { pass: residual, wanted };
    let moves = |traversal| {
        let plan = with_traversal(&shape, &options, operation, &device, traversal);
        (plan.moves(), plan.rereads())
    };
    assert_eq!(moves(Traversal::Split), (8.0, 0.0));
    // Read once by those that keep it: x, dy and the residual; dx and dresidual are written.
    assert_eq!(moves(Traversal::Pipelined), (5.0, 3.0));
    assert_eq!(moves(Traversal::Revisited), (5.0, 3.0));
}

#[test]
fn kernels_of_several_steps_move_each_tensor_once() {
    let device = with_many_bindings(DeviceTraits::webgpu_defaults(DeviceKind::Gpu));
    let plain = Wanted { dx: true, dweight: Some(Accumulation::Replace), ..Wanted::default() };
    let forward = Operation::Forward { pass: Mode::TRAINING.into(), in_place: false };
    let backward = Operation::Backward { pass: Mode::TRAINING.into(), wanted: plain };
    for (layout, dtype) in [
        (Layout::ChannelsFirst, Dtype::F32),
        (Layout::ChannelsLast, Dtype::F32),
        (Layout::ChannelsFirst, Dtype::BF16),
        (Layout::ChannelsLast, Dtype::F16),
    ] {
        let shape = shape(&in_layout(&[4, 16, 8, 8], layout), layout);
        let options = Options { dtype, ..Options::new(16) };
        for (traversal, rereads) in
            [(Traversal::Resident, 0.0), (Traversal::Revisited, 1.0), (Traversal::Pipelined, 1.0)]
        {
            let plan = |operation| with_traversal(&shape, &options, operation, &device, traversal);
            let moves = |operation| (plan(operation).moves(), plan(operation).rereads());
            assert_eq!(moves(forward), (2.0, rereads), "{traversal} {layout:?} {dtype:?}");
            assert_eq!(moves(backward), (3.0, 2.0 * rereads), "{traversal} {layout:?} {dtype:?}");
            let dispatches = if traversal == Traversal::Pipelined { 2 } else { 1 };
            assert_eq!(plan(forward).dispatches.len(), dispatches, "{traversal} {layout:?} {dtype:?}");
            assert_eq!(plan(backward).dispatches.len(), dispatches, "{traversal} {layout:?} {dtype:?}");
        }
    }
}

#[test]
fn runs_of_channels_fit_the_shared_cache() {
    let shape = shape(&[64, 256, 56, 56], Layout::ChannelsFirst);
    let options = Options::new(256);
    let gpu = DeviceTraits::webgpu_defaults(DeviceKind::Gpu);
    let device = with_many_bindings(DeviceTraits { max_storage_buffer_binding_size: 1 << 30, ..gpu });
    for (operation, tensors) in [(TRAINING, 4.0), (BACKWARD, 8.0)] {
        let bytes_under_way = |cache_bytes: Option<u64>, device: &DeviceTraits| {
            let traversal = Some(Traversal::Pipelined);
            let schedule = Schedule { traversal, cache_bytes, ..Schedule::default() };
            let plan = Plan::with_schedule(&shape, &options, operation, device, &schedule).expect("a plan");
            let most = plan.dispatches.iter().map(|d| d.moved + d.reread).fold(0.0, f64::max);
            (plan.dispatches.len(), most * 4.0)
        };
        let tensor_bytes = shape.elements() as f64 * 4.0;
        for cache_bytes in [32 << 20, 48 << 20, 1 << 30] {
            let (dispatches, most) = bytes_under_way(Some(cache_bytes), &device);
            // As many runs as are needed, but for one: they are of whole tiles of channels.
            let needed = (tensors * tensor_bytes / cache_bytes as f64).ceil().min(49.0);
            assert!((needed..=needed + 1.0).contains(&(dispatches as f64 - 1.0)), "{needed} {dispatches}");
            assert!(most <= cache_bytes as f64 * 1.1, "{most} of {cache_bytes}");
        }
        let suggested = bytes_under_way(None, &device);
        assert_eq!(suggested, bytes_under_way(Some(device.shared_cache_bytes), &device));
        let smaller = DeviceTraits { shared_cache_bytes: 8 << 20, ..device.clone() };
        assert!(bytes_under_way(None, &smaller).0 >= suggested.0);
        // The model counts on the cache for what fits it, and prefers runs to one that does not.
        let large = DeviceTraits { shared_cache_bytes: 64 << 20, ..device.clone() };
        let chosen = plan(&shape, &options, operation, &large);
        assert_eq!(chosen.traversal(), Some(Traversal::Pipelined), "{operation:?}");
        assert!(chosen.dispatches.len() > 2, "{} dispatches", chosen.dispatches.len());
        // Runs too short to fill a device are not made, whatever the cache.
        let most = 1 + (shape.elements() >> 20);
        assert!((most / 2..=most).contains(&bytes_under_way(Some(1), &device).0), "{most}");
    }
}

/// A discrete card: large bindings, wide workgroups.
fn card() -> DeviceTraits {
    with_many_bindings(DeviceTraits {
        max_storage_buffer_binding_size: 2 << 30,
        max_compute_invocations_per_workgroup: 1024,
        max_compute_workgroup_storage_size: 48 << 10,
        ..DeviceTraits::webgpu_defaults(DeviceKind::Gpu)
    })
}

/// Few channels or many, short rows or none, in both layouts: where the model's device is not full, a lane has few elements.
#[test]
fn splits_fill_a_device_whatever_the_number_of_channels() {
    let sizes: [&[usize]; 11] = [
        &[8, 3, 724, 724],
        &[32, 6, 256, 256],
        &[20, 6, 65_536],
        &[1, 512, 8192],
        &[64, 2048, 7, 7],
        &[64, 512, 7, 7],
        &[64, 257, 7, 7],
        &[4_194_304, 3],
        &[2_097_152, 6],
        &[4096, 2048],
        &[8, 32_768],
    ];
    let both = [Layout::ChannelsFirst, Layout::ChannelsLast];
    for (sizes, layout) in sizes.into_iter().flat_map(|sizes| both.map(|layout| (sizes, layout))) {
        for (dtype, operation) in
            DTYPES.into_iter().flat_map(|dtype| [TRAINING, BACKWARD].map(|o| (dtype, o)))
        {
            let shape = shape(&in_layout(sizes, layout), layout);
            let options = Options { dtype, ..Options::new(shape.channels()) };
            let plan = with_traversal(&shape, &options, operation, &card(), Traversal::Split);
            for dispatch in plan.dispatches.iter().filter(|dispatch| is_over_tensors(dispatch)) {
                let workgroups: f64 = dispatch.grid.iter().map(|&size| f64::from(size)).product();
                let lanes = workgroups * f64::from(dispatch.workgroup_size());
                let least = cost::LANES.min(shape.elements() as f64 / 256.0);
                assert!(lanes >= least, "{shape} {dtype:?} {:?}: {lanes} lanes", dispatch.step);
            }
        }
    }
}

fn with_traversal(
    shape: &Shape,
    options: &Options,
    operation: Operation,
    device: &DeviceTraits,
    traversal: Traversal,
) -> Plan {
    let schedule = Schedule::with_traversal(traversal);
    Plan::with_schedule(shape, options, operation, device, &schedule).expect("a plan")
}

#[test]
fn samples_of_odd_rows_may_be_larger_than_what_is_counted() {
    let device = DeviceTraits::webgpu_defaults(DeviceKind::Gpu);
    let shape = shape(&[2, 5, 1_000_000_007], Layout::ChannelsFirst);
    let options = Options { dtype: Dtype::F16, ..Options::new(5) };
    for operation in [TRAINING, BACKWARD] {
        let plan = plan(&shape, &options, operation, &device);
        check_limits(&shape, Dtype::F16, &plan, &device);
        // All of it is covered: the parts are as long together as the tensor.
        for step in [Step::Statistics, Step::Normalize, Step::BackwardReduce, Step::BackwardApply] {
            let of_step = plan.dispatches.iter().filter(|dispatch| dispatch.step == step);
            let elements: u64 =
                of_step.map(|d| u64::from(d.params.channels) * u64::from(d.params.part_row_elements)).sum();
            assert!(elements == 0 || elements == shape.elements() as u64, "{step:?}: {elements}");
        }
    }
}

#[test]
fn what_the_kernels_cannot_address_is_refused() {
    let device = DeviceTraits::webgpu_defaults(DeviceKind::Gpu);
    let many = shape(&[2, 5_000_000], Layout::ChannelsFirst);
    let error = Plan::new(&many, &Options::new(5_000_000), TRAINING, &device);
    assert!(
        matches!(error, Err(PlanError::TooManyChannels { actual: 5_000_000, max: 4_793_490, .. })),
        "{error:?}"
    );
    let long = shape(&[5, 1, 1 << 30], Layout::ChannelsFirst);
    let error = Plan::new(&long, &Options::new(1), TRAINING, &device);
    assert!(matches!(error, Err(PlanError::TooManyValues { max: u32::MAX, .. })), "{error:?}");
    let endless = shape(&[(1 << 32) - 1, 4_700_000], Layout::ChannelsFirst);
    let error = Plan::new(&endless, &Options::new(4_700_000), TRAINING, &device);
    assert!(matches!(error, Err(PlanError::TooManyBindings { .. })), "{error:?}");
    let groups = shape(&[40_000, 2, 3], Layout::ChannelsFirst);
    let ghost = Options { ghost_batch: Some(1), ..Options::new(2) };
    let error = Plan::new(&groups, &ghost, TRAINING, &device);
    assert!(matches!(error, Err(PlanError::TooManyGroups { groups: 40_000, max: 32_768, .. })), "{error:?}");
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

#[test]
fn a_schedule_makes_the_plans_of_a_graphics_processor_on_any_device() {
    let [gpu, cpu] = [DeviceKind::Gpu, DeviceKind::Cpu].map(DeviceTraits::webgpu_defaults);
    let schedule = Schedule { as_gpu: true, ..Schedule::default() };
    for (layout, operation) in [(Layout::ChannelsFirst, TRAINING), (Layout::ChannelsLast, BACKWARD)] {
        let shape = shape(&in_layout(&[64, 64, 30, 30], layout), layout);
        let options = Options::new(64);
        let of =
            |device| Plan::with_schedule(&shape, &options, operation, device, &schedule).expect("a plan");
        let expected = plan(&shape, &options, operation, &gpu);
        assert_ne!(expected, plan(&shape, &options, operation, &cpu));
        assert_eq!([of(&cpu), of(&gpu)], [expected.clone(), expected]);
    }
}

#[test]
fn cpu_adapters_read_short_odd_rows_again_from_a_cache_in_backward_passes() {
    let device = DeviceTraits::webgpu_defaults(DeviceKind::Cpu);
    let (revisited, split) = (Some(Traversal::Revisited), Some(Traversal::Split));
    for (sizes, dtype, backward) in [
        ([64, 512, 49], Dtype::F32, revisited),
        ([64, 512, 49], Dtype::F16, split),
        ([64, 512, 48], Dtype::F32, split),
        ([64, 512, 289], Dtype::F32, split),
        // Too few channels to share out.
        ([64, 64, 49], Dtype::F32, split),
    ] {
        let shape = shape(&sizes, Layout::ChannelsFirst);
        let options = Options { dtype, ..Options::new(shape.channels()) };
        let chosen =
            [TRAINING, BACKWARD].map(|operation| plan(&shape, &options, operation, &device).traversal());
        assert_eq!(chosen, [split, backward], "{shape} {dtype:?}");
    }
}

/// Channels last, a CPU adapter's lanes have as many strips as fall into whole workgroups of 8 lanes of 4 channels.
#[test]
fn strips_are_whole_workgroups_of_channels() {
    let options = Options::new(1);
    for (channels, strips) in [(32, 1), (64, 2), (72, 1), (96, 3), (256, 8), (512, 8)] {
        let shape = shape(&[4, 5, 5, channels], Layout::ChannelsLast);
        let options = Options { channels, ..options };
        for (kind, strips) in [(DeviceKind::Cpu, strips), (DeviceKind::Gpu, 1)] {
            let device = DeviceTraits::webgpu_defaults(kind);
            let plan = Plan::new(&shape, &options, TRAINING, &device).expect("a plan");
            let split = plan.dispatches.iter().filter(|dispatch| is_over_tensors(dispatch));
            for dispatch in split {
                assert_eq!(dispatch.tile.strips, strips, "{channels} channels, {kind:?}");
            }
        }
    }
}
