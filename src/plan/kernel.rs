//! Which files make a kernel: those of the axes that many steps have in common are chosen here.

use super::problem::{Problem, Records, Walk};
use super::traits::DeviceKind;
use crate::elementwise::{Activation, Dtype, Order};
use crate::kernels::Step;
use crate::resource::Resource;
use crate::shader::parts::{self, Part as File};

/// Which files make the kernel of a step, and what it binds.
#[derive(Clone)]
pub(crate) struct Kernel {
    pub(super) step: Step,
    pub(super) files: Vec<File>,
    pub(super) resources: Vec<Resource>,
    /// The file for big tensors that it writes.
    written: File,
    /// The file for what a lane keeps of the planes.
    held: File,
}

impl Kernel {
    /// A kernel of these files that binds nothing yet.
    pub(crate) fn new(step: Step, files: impl IntoIterator<Item = File>) -> Self {
        Self {
            step,
            files: files.into_iter().collect(),
            resources: Vec::new(),
            written: parts::TENSOR_WORDS,
            held: parts::HELD,
        }
    }

    /// Adds a file that binds nothing.
    pub(crate) fn file(&mut self, file: File) -> &mut Self {
        self.files.push(file);
        self
    }

    /// Adds what a file binds.
    pub(crate) fn bind(&mut self, resources: &[Resource]) -> &mut Self {
        self.resources.extend(resources);
        self
    }

    /// Adds a file and what it binds, if it is wanted, or else the file that does without.
    pub(crate) fn slot(
        &mut self,
        wanted: bool,
        with: File,
        resources: &[Resource],
        without: File,
    ) -> &mut Self {
        if wanted { self.file(with).bind(resources) } else { self.file(without) }
    }
}

impl Problem<'_> {
    /// A kernel that goes over the big tensors, with the files of the axes that all of these have.
    pub(crate) fn tensor_kernel(&self, step: Step, main: File, walk: &Walk) -> Kernel {
        self.kernel_with_entry(step, parts::ENTRY, main, walk)
    }

    /// The same for a kernel that reduces one run of channels and writes another.
    pub(crate) fn pipelined_kernel(&self, step: Step, main: File, walk: &Walk) -> Kernel {
        self.kernel_with_entry(step, parts::ENTRY_PIPELINED, main, walk)
    }

    fn kernel_with_entry(&self, step: Step, entry: File, main: File, walk: &Walk) -> Kernel {
        let view = &walk.view;
        // A software adapter loads and stores lane by lane, and takes as long for 32 bits as for 64.
        let long = self.device.kind == DeviceKind::Cpu && self.device.shader_int64;
        let packing = match (self.options.dtype, walk.tile.width) {
            (Dtype::F32, 2) if long => parts::PACKING_LONG_2,
            (Dtype::F32, 4) if long => parts::PACKING_LONG_4,
            (Dtype::F32, _) => parts::PACKING_WHOLE,
            (_, 1) => parts::PACKING_HALF_1,
            (_, 2) => parts::PACKING_HALF_2,
            _ if long => parts::PACKING_LONG_HALF_4,
            _ => parts::PACKING_HALF_4,
        };
        let subtract = match self.device.kind {
            DeviceKind::Gpu => parts::SUBTRACT_OPAQUE,
            DeviceKind::Cpu => parts::SUBTRACT_PLAIN,
        };
        let grouping = if view.groups() > 1 { parts::GROUPING_GHOST } else { parts::GROUPING_WHOLE };
        let mut kernel =
            Kernel::new(step, [parts::PARAMS, grouping, parts::TILE, entry, walk.tile.vector(), packing]);
        match self.options.dtype {
            Dtype::F32 => &mut kernel,
            Dtype::F16 => kernel.file(parts::ELEMENT_F16),
            Dtype::BF16 => kernel.file(parts::ELEMENT_BF16),
        };
        kernel.file(view.file()).file(parts::CURSORS).file(subtract).file(main);
        if !view.is_channels_last() {
            kernel.file(parts::QUOTIENT);
        }
        if view.is_across_rows() {
            kernel.file(parts::ACROSS_ROWS);
        }
        if view.has_straddling_rows() {
            kernel.held = parts::HELD_OF_TWO;
        } else if !view.is_channels_last() {
            kernel.file(parts::ONE_CHANNEL);
        }
        kernel.written = match (view.shares_words(), view.has_odd_rows(), view.has_straddling_rows()) {
            (true, ..) => parts::TENSOR_HALVES,
            (_, true, _) => parts::TENSOR_ELEMENTS,
            (.., true) => parts::TENSOR_BEGUN,
            _ => parts::TENSOR_WORDS,
        };
        let (mask, all) = if view.has_odd_rows() {
            (parts::SEGMENT_MASK_ROW, parts::SEGMENT_ROW)
        } else {
            (parts::SEGMENT_MASK, parts::SEGMENT_ALL)
        };
        kernel.slot(self.mask, mask, &[Resource::Mask], all);
        if view.shares_words() {
            kernel.file(if view.has_odd_rows() { parts::OWN_ROW } else { parts::OWN_HALF });
        }
        kernel
    }

    /// The files for `moments_of_block`.
    pub(crate) fn block(&self) -> File {
        if self.mask || self.view.has_odd_rows() { parts::BLOCK_MASKED } else { parts::BLOCK_ALL }
    }

    /// Adds big tensors that are only read.
    pub(crate) fn add_read(&self, kernel: &mut Kernel, tensors: &[Resource]) {
        for &tensor in tensors {
            kernel.file(parts::TENSOR_WORDS.of(tensor)).bind(&[tensor]);
        }
    }

    /// Adds what is added before the activation, if anything is.
    pub(crate) fn add_residual(&self, kernel: &mut Kernel, residual: bool) {
        if residual {
            kernel.file(parts::RESIDUAL_ADDED);
            self.add_read(kernel, &[Resource::Residual]);
        } else {
            kernel.file(parts::RESIDUAL_NONE);
        }
    }

    /// Adds big tensors that are written, and perhaps read too.
    pub(crate) fn add_written(&self, kernel: &mut Kernel, tensors: &[Resource]) {
        for &tensor in tensors {
            kernel.file(kernel.written.of(tensor)).bind(&[tensor]);
        }
    }

    /// Adds the planes that a kernel over the tensors reads of each channel.
    pub(crate) fn add_planes(&self, kernel: &mut Kernel, file: File, from: Resource) {
        let held = kernel.held;
        kernel.file(parts::PLANES).file(held).file(parts::AFFINE_OF_PLANES).file(file).bind(&[from]);
    }

    /// Adds the activation, and where it stands.
    pub(crate) fn add_activation(&self, kernel: &mut Kernel) {
        let (file, helpers): (_, &[File]) = match self.options.activation {
            Activation::None => {
                kernel.file(parts::ORDER_NONE);
                return;
            }
            Activation::Relu => (parts::ACTIVATION_RELU, &[]),
            Activation::LeakyRelu { .. } => (parts::ACTIVATION_LEAKY_RELU, &[]),
            Activation::Silu => (parts::ACTIVATION_SILU, &[parts::LOGISTIC]),
            Activation::Gelu => (parts::ACTIVATION_GELU, &[]),
            Activation::GeluTanh => (parts::ACTIVATION_GELU_TANH, &[parts::LOGISTIC]),
            Activation::Sigmoid => {
                (parts::ACTIVATION_SIGMOID, &[parts::LOGISTIC, parts::HYPERBOLIC_TANGENT, parts::KEEP_NAN])
            }
            Activation::Tanh => (parts::ACTIVATION_TANH, &[parts::HYPERBOLIC_TANGENT, parts::KEEP_NAN]),
        };
        kernel.file(file).file(match self.options.order {
            Order::Post => parts::ORDER_POST,
            Order::Pre => parts::ORDER_PRE,
        });
        for &helper in helpers {
            kernel.file(helper);
        }
    }

    /// A kernel that touches no big tensor.
    pub(crate) fn channel_kernel(&self, step: Step, main: File) -> Kernel {
        let axes = [parts::PARAMS, parts::GROUPING_WHOLE, parts::TILE, parts::PER_CHANNEL];
        Kernel::new(step, axes.into_iter().chain([parts::ENTRY, parts::PLANES, parts::EXACT, main]))
    }

    /// Adds what merges the records of a channel.
    pub(crate) fn add_merge(&self, kernel: &mut Kernel, records: Records) {
        kernel.file(self.tile_of_records(records).reduction()).file(parts::MERGE);
    }
}
