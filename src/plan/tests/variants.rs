//! Shaders without a device: every variant that a plan can hold is valid WGSL and agrees with the host.

use super::*;
use crate::options::Momentum;

/// Every variant that a plan can hold, by all options and a spread of shapes.
fn all_variants() -> Vec<Dispatch> {
    let mut seen = HashSet::new();
    let mut variants = Vec::new();
    let gradients = [None, Some(Accumulation::Replace), Some(Accumulation::Add)];
    let mut operations = Vec::new();
    for mode in [Mode::TRAINING, Mode::EVALUATION] {
        for in_place in [false, true] {
            operations.push(Operation::Forward { mode, in_place });
            for dweight in gradients {
                for dbias in gradients {
                    operations.push(Operation::Backward { mode, dx: true, in_place, dweight, dbias });
                }
            }
        }
    }
    let sizes: [&[usize]; 5] = [&[64, 64, 56, 56], &[8, 6, 7, 7], &[5, 3, 2, 3], &[70_000, 1], &[2, 70_000]];
    for (kind, sizes) in
        [DeviceKind::Gpu, DeviceKind::Cpu].into_iter().flat_map(|kind| sizes.map(|s| (kind, s)))
    {
        let device = DeviceTraits::webgpu_defaults(kind);
        for layout in [Layout::ChannelsFirst, Layout::ChannelsLast] {
            let shape = shape(&in_layout(sizes, layout), layout);
            for (affine, momentum) in [(true, Momentum::MovingAverage(0.1)), (false, Momentum::Cumulative)] {
                let options =
                    Options { weight: affine, bias: affine, momentum, ..Options::new(shape.channels()) };
                for &operation in &operations {
                    let plan = Plan::new(&shape, &options, operation, &device).expect("a plan");
                    variants.extend(
                        plan.dispatches
                            .into_iter()
                            .filter(|dispatch| seen.insert((dispatch.files.clone(), dispatch.tile))),
                    );
                }
            }
        }
    }
    variants
}

#[test]
fn every_variant_is_valid_and_binds_what_the_host_binds() {
    let variants = all_variants();
    let mut used = HashSet::new();
    for dispatch in &variants {
        let source = dispatch.source();
        used.extend(dispatch.files.iter().copied());
        let module = naga::front::wgsl::parse_str(&source.text)
            .unwrap_or_else(|error| panic!("{}", error.emit_to_string(&source.text)));
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty())
            .validate(&module)
            .unwrap_or_else(|error| panic!("{}", error.emit_to_string(&source.text)));
        let mut bound = HashSet::new();
        for (_, variable) in module.global_variables.iter() {
            let Some(binding) = variable.binding else { continue };
            bound.insert(binding.binding);
            if binding.binding == 0 {
                check_params(&module, variable);
            } else {
                let resource =
                    Resource::ALL.iter().find(|r| r.binding() == binding.binding).expect("a resource");
                assert_eq!(variable.name.as_deref(), Some(resource.name()), "{:?}", dispatch.step);
            }
        }
        let expected: HashSet<u32> =
            dispatch.pieces.iter().map(|piece| piece.resource.binding()).chain([0]).collect();
        assert_eq!(bound, expected, "{:?}", dispatch.step);
        assert_eq!(module.entry_points[0].workgroup_size, [dispatch.tile.lanes(), 1, 1]);
    }
    let unused: Vec<_> =
        shader::parts::ALL.iter().filter(|part| !used.contains(part)).map(|p| p.path).collect();
    assert!(unused.is_empty(), "no variant uses {unused:?}");
    assert!(variants.len() > 100, "{} variants", variants.len());
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
