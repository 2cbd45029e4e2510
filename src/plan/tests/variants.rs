//! Shaders without a device: every variant that a plan can hold is valid WGSL and agrees with the host.

use super::*;
use crate::elementwise::Order;
use crate::options::Momentum;

/// Every operation, with every choice it has.
fn all_operations() -> Vec<Operation> {
    let gradients = [None, Some(Accumulation::Replace), Some(Accumulation::Add)];
    let mut operations = vec![
        Operation::Fold,
        Operation::MomentsBackward { mask: false },
        Operation::MomentsBackward { mask: true },
    ];
    let sources = [Source::Batch, Source::Running, Source::Given];
    let modes = sources.into_iter().flat_map(|source| [false, true].map(|update| Mode { source, update }));
    let extras = [(false, false), (true, false), (false, true), (true, true)];
    for (mode, (residual, mask)) in modes.flat_map(|mode| extras.map(|extra| (mode, extra))) {
        let pass = Pass { mode, residual, mask };
        operations.push(Operation::Statistics { pass });
        for in_place in [false, true] {
            operations.push(Operation::Forward { pass, in_place });
        }
        for (dweight, dbias) in gradients.into_iter().flat_map(|a| gradients.map(|b| (a, b))) {
            for (dx, in_place, dresidual) in [(true, false, false), (true, true, true), (false, false, true)]
            {
                let dstatistics = mode.source == Source::Given;
                let wanted = Wanted { dx, in_place, dresidual, dweight, dbias, dstatistics };
                operations.push(Operation::Backward { pass, wanted });
            }
        }
        for given in [false, true] {
            let [ddweight, ddbias, grad_weight] = [given; 3];
            operations.push(Operation::DoubleBackward { pass, ddweight, ddbias, grad_weight });
        }
        if mode == Mode::TRAINING {
            let wanted = Wanted { dx: true, dresidual: true, ..Wanted::default() };
            operations.extend([
                Operation::LocalStatistics { pass },
                Operation::LocalGradients { pass },
                Operation::MergedForward { pass, in_place: false, replicas: 3, samples: true },
                Operation::MergedBackward { pass, wanted, replicas: 3 },
            ]);
        }
    }
    operations
}

/// Settings that together take each file: activations in both orders, dtypes, ghost batches and the rest.
fn all_options(channels: usize) -> Vec<Options> {
    let plain = Options::new(channels);
    let without = Options {
        weight: false,
        bias: false,
        momentum: Momentum::Cumulative,
        guarded: true,
        ghost_batch: Some(3),
        ..plain
    };
    let mut all = Vec::new();
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        all.extend([Options { dtype, ..plain }, Options { dtype, ..without }]);
        all.push(Options { dtype, ghost_batch: Some(2), ..plain });
        for activation in [
            Activation::Relu,
            Activation::LeakyRelu { negative_slope: 0.01 },
            Activation::Silu,
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::Sigmoid,
            Activation::Tanh,
        ] {
            for order in [Order::Post, Order::Pre] {
                all.push(Options { dtype, activation, order, ..plain });
            }
        }
    }
    all
}

/// Kernels of several steps are made of the same files as those of one, so not every combination is tried again:
/// activations with one dtype, and gradients per channel with both or one of them.
fn is_combined_elsewhere(options: &Options, operation: Operation) -> bool {
    let gradients = match operation {
        Operation::Backward { wanted, .. } => {
            (wanted.dweight, wanted.dbias) != (Some(Accumulation::Replace), Some(Accumulation::Add))
                && (wanted.dweight, wanted.dbias) != (Some(Accumulation::Add), None)
                && (wanted.dweight, wanted.dbias) != (None, Some(Accumulation::Replace))
        }
        _ => false,
    };
    let activation = options.activation != Activation::None && options.dtype != Dtype::F16;
    let kinds = !matches!(options.activation, Activation::None | Activation::Relu | Activation::Tanh);
    gradients || activation || kinds
}

/// Every variant that a plan can hold: all operations with all settings, on shapes of all widths and layouts.
fn all_variants() -> Vec<Dispatch> {
    let mut seen = HashSet::new();
    let mut variants = Vec::new();
    let operations = all_operations();
    let mut add = |shape: &Shape, options: &Options, operation: Operation, device: &DeviceTraits| {
        for traversal in Traversal::ALL {
            // Small tensors keep the unrolled kernels short.
            let skipped = shape.elements() > 10_000 || is_combined_elsewhere(options, operation);
            if traversal != Traversal::Split && skipped {
                continue;
            }
            let schedule = Schedule::with_traversal(traversal);
            let plan = match Plan::with_schedule(shape, options, operation, device, &schedule) {
                Ok(plan) => plan,
                Err(PlanError::Traversal { .. }) => continue,
                Err(error) => panic!("{error}"),
            };
            if traversal != Traversal::Split && plan.traversal().is_none() {
                continue;
            }
            for dispatch in plan.dispatches {
                // Two tiles that differ in their numbers alone make the same shader but for those.
                let tile = &dispatch.tile;
                let shape_of_tile = (tile.width, tile.blocks == 1, tile.strips == 1);
                if seen.insert((dispatch.files.clone(), shape_of_tile)) {
                    variants.push(dispatch);
                }
            }
        }
    };
    let sizes: [&[usize]; 4] = [&[64, 64, 28, 28], &[3, 8, 4, 4], &[8, 6, 7, 2], &[7, 3, 5, 3]];
    let layouts = [Layout::ChannelsFirst, Layout::ChannelsLast];
    for (kind, shader_int64) in [(DeviceKind::Gpu, false), (DeviceKind::Cpu, true)] {
        let traits = DeviceTraits { shader_int64, ..DeviceTraits::webgpu_defaults(kind) };
        let device = with_many_bindings(traits);
        for (sizes, layout) in sizes.into_iter().flat_map(|sizes| layouts.map(|layout| (sizes, layout))) {
            let shape = shape(&in_layout(sizes, layout), layout);
            for options in all_options(shape.channels()) {
                for &operation in &operations {
                    add(&shape, &options, operation, &device);
                }
            }
        }
        // Loads of 4 and of 2 elements that lie across rows; on software adapters that have no integers of 64 bits too.
        for (sizes, shader_int64) in
            [[4, 3, 19], [2, 3, 19]].into_iter().flat_map(|s| [(s, true), (s, false)])
        {
            let shape = shape(&sizes, Layout::ChannelsFirst);
            let device = DeviceTraits { shader_int64: shader_int64 && device.shader_int64, ..device.clone() };
            for options in &all_options(3) {
                for &operation in &operations {
                    add(&shape, options, operation, &device);
                }
            }
        }
        // So many groups that one dispatch cannot go through them.
        let shape = shape(&[30_000, 2, 3], Layout::ChannelsFirst);
        let options = Options { ghost_batch: Some(1), ..Options::new(2) };
        for operation in [TRAINING, BACKWARD, DOUBLE] {
            add(&shape, &options, operation, &device);
        }
    }
    variants
}

#[test]
fn every_variant_is_valid_and_binds_what_the_host_binds() {
    let variants = all_variants();
    // Enough to keep all cores busy for a minute or two.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let used = std::thread::scope(|scope| {
        let checks: Vec<_> = variants
            .chunks(variants.len().div_ceil(threads).max(1))
            .map(|variants| scope.spawn(|| variants.iter().for_each(check_variant)))
            .collect();
        checks.into_iter().for_each(|check| {
            if let Err(failure) = check.join() {
                std::panic::resume_unwind(failure);
            }
        });
        variants.iter().flat_map(|dispatch| &dispatch.files).map(|part| part.path).collect::<HashSet<_>>()
    });
    let unused: Vec<_> =
        shader::parts::ALL.iter().map(|part| part.path).filter(|path| !used.contains(path)).collect();
    assert!(unused.is_empty(), "no variant uses {unused:?}");
    assert!(variants.len() > 15_000, "{} variants", variants.len());
}

fn check_variant(dispatch: &Dispatch) {
    let source = dispatch.source();
    let module = naga::front::wgsl::parse_str(&source.text)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string(&source.text)));
    // unpack2x16float is no feature in WebGPU, but a capability in naga.
    let capabilities =
        naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32 | naga::valid::Capabilities::SHADER_INT64;
    let info = naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string(&source.text)));
    assert_eq!(private_arrays_indexed(&module, &info), 0, "{:?}", dispatch.step);
    let mut bound = HashSet::new();
    for (_, variable) in module.global_variables.iter() {
        let Some(binding) = variable.binding else { continue };
        bound.insert(binding.binding);
        if binding.binding == 0 {
            check_params(&module, variable);
        } else {
            let piece = dispatch.pieces.iter().find(|piece| piece.resource.binding() == binding.binding);
            let resource = piece.unwrap_or_else(|| panic!("{:?} in {:?}", variable.name, dispatch)).resource;
            assert_eq!(variable.name.as_deref(), Some(variable_of(resource, dispatch)));
        }
    }
    let expected: HashSet<u32> =
        dispatch.pieces.iter().map(|piece| piece.resource.binding()).chain([0]).collect();
    assert_eq!(bound, expected, "{:?}", dispatch.step);
    assert_eq!(module.entry_points[0].workgroup_size, [dispatch.tile.lanes(), 1, 1]);
}

/// How often an array of a lane's own is indexed by what is only known when the kernel runs: no compiler keeps it in registers
/// then.
fn private_arrays_indexed(module: &naga::Module, info: &naga::valid::ModuleInfo) -> usize {
    use naga::{AddressSpace, Expression, TypeInner};

    let functions = module.functions.iter().map(|(handle, function)| (function, &info[handle]));
    let entries = module.entry_points.iter().enumerate();
    let entries = entries.map(|(index, entry)| (&entry.function, info.get_entry_point(index)));
    let indexed = |(function, info): (&naga::Function, &naga::valid::FunctionInfo)| {
        let is_private = |base: naga::Handle<Expression>| match *info[base].ty.inner_with(&module.types) {
            TypeInner::Array { .. } => true,
            TypeInner::Pointer { base, space: AddressSpace::Function } => {
                matches!(module.types[base].inner, TypeInner::Array { .. })
            }
            _ => false,
        };
        let expressions = function.expressions.iter().map(|(_, expression)| expression);
        let indexed =
            expressions.filter(|e| matches!(e, Expression::Access { base, .. } if is_private(*base)));
        indexed.count()
    };
    functions.chain(entries).map(indexed).sum()
}

#[test]
fn arrays_of_a_lane_that_are_indexed_are_found() {
    let found = |index: &str| {
        let text = format!(
            "var<workgroup> shared_array: array<f32, 4>;
            fn read(kept: ptr<function, array<f32, 4>>, i: u32) -> f32 {{ return (*kept)[{index}]; }}
            @compute @workgroup_size(4) fn main(@builtin(local_invocation_index) i: u32) {{
                var kept: array<f32, 4>;
                kept[{index}] = 1.0;
                shared_array[i] = read(&kept, i);
            }}"
        );
        let module = naga::front::wgsl::parse_str(&text).expect("a shader");
        let (flags, capabilities) = (naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty());
        let info = naga::valid::Validator::new(flags, capabilities).validate(&module).expect("a valid one");
        private_arrays_indexed(&module, &info)
    };
    assert_eq!((found("2u"), found("i")), (0, 2));
}

fn variable_of(resource: Resource, dispatch: &Dispatch) -> &'static str {
    let holds = dispatch.files.contains(&shader::parts::SOURCE_HELD);
    match resource {
        Resource::SavedOfBatch => "saved",
        Resource::GivenMean => "held_mean",
        Resource::GivenVar => "held_var",
        Resource::RunningMean if holds => "held_mean",
        Resource::RunningVar if holds => "held_var",
        Resource::FoldedScale => "folded_scale",
        Resource::FoldedOffset => "folded_offset",
        resource => resource.name(),
    }
}

/// The uniform block has the same fields at the same offsets on both sides.
fn check_params(module: &naga::Module, variable: &naga::GlobalVariable) {
    let naga::TypeInner::Struct { members, span } = &module.types[variable.ty].inner else {
        panic!("params is no struct");
    };
    let names: Vec<&str> = members.iter().filter_map(|member| member.name.as_deref()).collect();
    assert_eq!(names, Params::FIELDS);
    assert_eq!(*span as usize, size_of::<Params>());
    for (i, member) in members.iter().enumerate() {
        assert_eq!(member.offset as usize, i * 4, "{names:?}");
    }
}

#[test]
fn every_shader_file_is_part_of_the_library() {
    fn collect(folder: &std::path::Path, root: &std::path::Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, root, found);
            } else {
                found.push(path.strip_prefix(root).expect("below root").to_string_lossy().replace('\\', "/"));
            }
        }
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("shaders");
    let mut on_disk = Vec::new();
    collect(&root, &root, &mut on_disk);
    on_disk.sort();
    let mut known: Vec<_> = shader::parts::ALL.iter().map(|part| part.path.to_owned()).collect();
    known.sort();
    assert_eq!(on_disk, known);
}
