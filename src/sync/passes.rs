//! The passes of a synchronized layer: a local half, an exchange, and a merged half.

use super::message::Header;
use super::phases::{Begun, Lease, Own, Part};
use super::{Exchange, GradientsWithoutSamples, SyncError, Synchronized, WithoutSamples};
use crate::batch_norm::tensor_list::TensorList;
use crate::batch_norm::{BackwardTensors, BatchNorm, BatchNormError, BoundOperation, ForwardTensors};
use crate::buffer::BufferRange;
use crate::context::lock;
use crate::device::create_buffer;
use crate::mode::Mode;
use crate::plan::{Monoid, Operation, Pass, Wanted};
use crate::resource::Resource;
use crate::shape::Shape;
use crate::state::{LeftBy, submit_download};
use std::sync::Mutex;

const TRAINING: Mode = Mode::TRAINING;

impl<E: Exchange> Synchronized<E> {
    /// The layer with a transport to the other replicas, which must make the layers that share one in the same order.
    pub fn new(batch_norm: &BatchNorm, exchange: E) -> Self {
        let layer = exchange.sequence().next_layer();
        Self { batch_norm: batch_norm.clone(), exchange, layer, records: Mutex::default() }
    }

    /// The layer.
    pub fn batch_norm(&self) -> &BatchNorm {
        &self.batch_norm
    }

    /// The transport.
    pub fn exchange(&self) -> &E {
        &self.exchange
    }

    /// Runs a forward pass in training on this replica's samples.
    ///
    /// # Errors
    /// [`SyncError`] if the pass does not fit, or the replicas do not get together.
    pub async fn submit_forward(&self, shape: &Shape, tensors: &ForwardTensors<'_>) -> Result<(), SyncError> {
        self.begin_forward(shape, tensors)?.send().await?.arrived().await?.finish()
    }

    /// Begins what [`Synchronized::submit_forward`] does, and leaves the waiting to the caller.
    ///
    /// # Errors
    /// [`SyncError`] if the pass does not fit; then nothing was submitted, and the others wait.
    pub fn begin_forward(
        &self,
        shape: &Shape,
        tensors: &ForwardTensors<'_>,
    ) -> Result<Begun<'_, E>, SyncError> {
        let header = self.next_header(Monoid::Moments);
        let records = self.records(shape, header)?;
        let in_place = tensors.y.starts_with(&tensors.x);
        // Everything is checked before the others are told anything.
        let mut merged = TensorList::new(&self.batch_norm, shape);
        let pass = self.batch_norm.list_forward(&mut merged, TRAINING, tensors);
        let replicas = self.exchange.replicas();
        let operation = Operation::MergedForward { pass, in_place, replicas, samples: true };
        let bytes = self.record_bytes(shape, operation)?;
        merged.saved(tensors.saved, 1).records(&records.range, bytes);
        let merged = merged.bind(operation, tensors.workspace.as_ref())?;
        let origin = self.batch_norm.origin(shape, pass, LeftBy::Replicas);
        let merged = BoundOperation::leaving(&self.batch_norm, merged, tensors.saved, origin);

        let operation = Operation::LocalStatistics { pass };
        let bytes = self.record_bytes(shape, operation)?;
        let mut local = TensorList::new(&self.batch_norm, shape);
        local.tensor(Resource::X, &tensors.x).mask(tensors.mask).records(&records.range, bytes);
        let local = local.bind(operation, tensors.workspace.as_ref())?;
        self.submit(&BoundOperation::free(&self.batch_norm, local))?;
        self.begin(records, Samples::Some { mask: pass.mask }, header, merged)
    }

    /// Takes part in a forward pass in training without samples; the running statistics are updated as on
    /// all replicas.
    ///
    /// # Errors
    /// [`SyncError`] if the pass does not fit, or the replicas do not get together.
    pub async fn submit_forward_without_samples(
        &self,
        tensors: &WithoutSamples<'_>,
    ) -> Result<(), SyncError> {
        self.begin_forward_without_samples(tensors)?.send().await?.arrived().await?.finish()
    }

    /// Begins what [`Synchronized::submit_forward_without_samples`] does.
    ///
    /// # Errors
    /// As [`Synchronized::begin_forward`].
    pub fn begin_forward_without_samples(
        &self,
        tensors: &WithoutSamples<'_>,
    ) -> Result<Begun<'_, E>, SyncError> {
        let WithoutSamples { parameters: [weight, bias], running, saved } = tensors;
        let options = self.batch_norm.options();
        let shape = Shape::of_channels(options.channels);
        let header = self.next_header(Monoid::Moments);
        let records = self.records(&shape, header)?;
        let (pass, replicas) = (Pass::from(TRAINING), self.exchange.replicas());
        let operation = Operation::MergedForward { pass, in_place: false, replicas, samples: false };
        let bytes = self.record_bytes(&shape, operation)?;
        let mut list = TensorList::new(&self.batch_norm, &shape);
        list.parameter(Resource::Weight, options.weight, weight.as_ref());
        list.parameter(Resource::Bias, options.bias, bias.as_ref());
        list.running(options.running_statistics, *running).saved(saved, 1).records(&records.range, bytes);
        let bindings = list.bind(operation, None)?;
        let origin = self.batch_norm.origin(&shape, TRAINING.into(), LeftBy::Replicas);
        let merged = BoundOperation::leaving(&self.batch_norm, bindings, saved, origin);
        self.begin(records, Samples::None, header, merged)
    }

    /// Runs the backward pass of [`Synchronized::submit_forward`].
    ///
    /// # Errors
    /// [`SyncError`] if the pass does not fit, or the replicas do not get together.
    pub async fn submit_backward(
        &self,
        shape: &Shape,
        tensors: &BackwardTensors<'_>,
    ) -> Result<(), SyncError> {
        self.begin_backward(shape, tensors)?.send().await?.arrived().await?.finish()
    }

    /// Begins what [`Synchronized::submit_backward`] does, and leaves the waiting to the caller.
    ///
    /// # Errors
    /// As [`Synchronized::begin_forward`].
    pub fn begin_backward(
        &self,
        shape: &Shape,
        tensors: &BackwardTensors<'_>,
    ) -> Result<Begun<'_, E>, SyncError> {
        let BackwardTensors { x, dy, residual, mask, saved, workspace, .. } = tensors;
        let header = self.next_header(Monoid::GradSums);
        let records = self.records(shape, header)?;
        let mut list = TensorList::new(&self.batch_norm, shape);
        let (pass, wanted) = self.batch_norm.list_backward(&mut list, TRAINING, tensors);
        let operation = Operation::MergedBackward { pass, wanted, replicas: self.exchange.replicas() };
        let bytes = self.record_bytes(shape, operation)?;
        list.saved(saved, 1).records(&records.range, bytes);
        let bindings = list.bind(operation, workspace.as_ref())?;
        let origin = self.batch_norm.origin(shape, pass, LeftBy::Replicas);
        let merged = BoundOperation::needing(&self.batch_norm, bindings, saved, origin);

        let operation = Operation::LocalGradients { pass };
        let bytes = self.record_bytes(shape, operation)?;
        let mut list = TensorList::new(&self.batch_norm, shape);
        list.tensor(Resource::X, x).tensor(Resource::Dy, dy).mask(*mask).saved(saved, 1);
        if let Some(residual) = residual {
            list.tensor(Resource::Residual, residual);
        }
        list.records(&records.range, bytes);
        let bindings = list.bind(operation, workspace.as_ref())?;
        self.submit(&BoundOperation::needing(&self.batch_norm, bindings, saved, origin))?;
        self.begin(records, Samples::Some { mask: false }, header, merged)
    }

    /// Takes part in a backward pass without samples; dγ and dβ are those of all replicas.
    ///
    /// # Errors
    /// [`SyncError`] if the pass does not fit, or the replicas do not get together.
    pub async fn submit_backward_without_samples(
        &self,
        tensors: &GradientsWithoutSamples<'_>,
    ) -> Result<(), SyncError> {
        self.begin_backward_without_samples(tensors)?.send().await?.arrived().await?.finish()
    }

    /// Begins what [`Synchronized::submit_backward_without_samples`] does.
    ///
    /// # Errors
    /// As [`Synchronized::begin_forward`].
    pub fn begin_backward_without_samples(
        &self,
        tensors: &GradientsWithoutSamples<'_>,
    ) -> Result<Begun<'_, E>, SyncError> {
        let GradientsWithoutSamples { saved, dweight, dbias } = tensors;
        let shape = Shape::of_channels(self.batch_norm.options().channels);
        let header = self.next_header(Monoid::GradSums);
        let records = self.records(&shape, header)?;
        let wanted = Wanted {
            dweight: dweight.as_ref().map(|(_, accumulation)| *accumulation),
            dbias: dbias.as_ref().map(|(_, accumulation)| *accumulation),
            ..Wanted::default()
        };
        let replicas = self.exchange.replicas();
        let operation = Operation::MergedBackward { pass: TRAINING.into(), wanted, replicas };
        let bytes = self.record_bytes(&shape, operation)?;
        let mut list = TensorList::new(&self.batch_norm, &shape);
        for (resource, gradient) in [(Resource::Dweight, dweight), (Resource::Dbias, dbias)] {
            if let Some((range, _)) = gradient {
                list.per_channel(resource, range);
            }
        }
        list.saved(saved, 1).records(&records.range, bytes);
        let bindings = list.bind(operation, None)?;
        let origin = self.batch_norm.origin(&shape, TRAINING.into(), LeftBy::Replicas);
        let merged = BoundOperation::needing(&self.batch_norm, bindings, saved, origin);
        merged.check()?;
        self.begin(records, Samples::None, header, merged)
    }

    /// The header of a pass that begins: whatever becomes of it, it counts.
    fn next_header(&self, monoid: Monoid) -> Header {
        let number = self.exchange.sequence().next_pass(self.layer);
        Header::new(monoid, number, self.batch_norm.options())
    }

    /// Has this replica's record, the first one of `records`, copied to the host, or takes an empty one.
    fn begin<'a>(
        &'a self,
        records: Lease<'a>,
        samples: Samples,
        header: Header,
        merged: BoundOperation,
    ) -> Result<Begun<'a, E>, SyncError> {
        let bytes = header.record_bytes();
        let (mask, own) = match samples {
            Samples::Some { mask } => {
                let record = BufferRange { size: bytes as u64, ..records.range.clone() };
                let copy = submit_download(self.batch_norm.context(), "records", &record)?;
                (mask, Own::Copying(copy))
            }
            // Counts and sums of nothing are all zero bits.
            Samples::None => (false, Own::Here(vec![0; bytes])),
        };
        let part = Part { batch_norm: &self.batch_norm, header, mask, own, records, merged };
        Ok(Begun::new(&self.exchange, part))
    }

    /// A buffer for the records of this shape and of all replicas, for this pass alone: others may be under way.
    fn records(&self, shape: &Shape, header: Header) -> Result<Lease<'_>, SyncError> {
        let (rank, replicas) = (self.exchange.rank(), self.exchange.replicas());
        if rank >= replicas {
            return Err(SyncError::Rank { rank, replicas });
        }
        if let Some(ghost_batch) = self.batch_norm.options().ghost_batch {
            return Err(SyncError::GhostBatches { ghost_batch });
        }
        let pass = Pass { mask: true, ..TRAINING.into() };
        let monoid = header.monoid();
        let operation = match monoid {
            Monoid::Moments => Operation::LocalStatistics { pass },
            Monoid::GradSums | Monoid::DoubleGradSums => Operation::LocalGradients { pass },
        };
        let merged = (monoid.bytes() * shape.channels() as u64).saturating_mul(replicas as u64);
        let bytes = self.record_bytes(shape, operation)?.max(merged);
        let context = self.batch_norm.context();
        context.check_alive()?;
        let mut pool = lock(&self.records);
        let fits = pool.iter().position(|buffer| buffer.size() >= bytes);
        let buffer = match fits {
            Some(i) => pool.swap_remove(i),
            None => {
                let usage =
                    wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
                create_buffer(context.checked(), "records", bytes, usage)?
            }
        };
        Ok(Lease { range: context.range(buffer), pool: &self.records })
    }

    fn record_bytes(&self, shape: &Shape, operation: Operation) -> Result<u64, BatchNormError> {
        Ok(self.batch_norm.plan(shape, operation)?.record_bytes)
    }

    fn submit(&self, operation: &BoundOperation) -> Result<(), SyncError> {
        Ok(self.batch_norm.context().submit(|encoder| operation.record(encoder))?)
    }
}

/// What a replica takes part with.
enum Samples {
    None,
    Some { mask: bool },
}
