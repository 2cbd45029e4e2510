//! What replicas tell one another: a header that says what it is about, and one record of each channel.

use super::SyncError;
use crate::elementwise::{Activation, Dtype, Order};
use crate::options::{Momentum, Options};
use crate::plan::{Monoid, WORD_BYTES};

/// Words of the header: what the message is, which pass it belongs to, and the settings that all replicas must share.
const HEADER_WORDS: usize = 9;
const HEADER_BYTES: usize = HEADER_WORDS * WORD_BYTES as usize;
/// Set in the word of the monoid by a replica with a mask.
const MASKED: u32 = 1 << 8;
const MAGIC: u32 = u32::from_le_bytes(*b"WBN2");

const PASSES: &[&str] = &["forward", "backward", "double backward"];
const DTYPES: &[&str] = &["f32", "f16", "bf16"];
const ACTIVATIONS: &[&str] = &["none", "relu", "leaky_relu", "silu", "gelu", "gelu_tanh", "sigmoid", "tanh"];
const ORDERS: &[&str] = &["post", "pre"];

/// Bits of the uppermost byte of the word of settings.
mod flag {
    pub(super) const WEIGHT: u32 = 1;
    pub(super) const BIAS: u32 = 2;
    pub(super) const RUNNING_STATISTICS: u32 = 4;
    pub(super) const GUARDED: u32 = 8;
    pub(super) const CUMULATIVE: u32 = 16;
}

/// Which pass of an exchange this is, each counted from 0 on, wrapping.
#[derive(Clone, Copy, Debug)]
pub(super) struct PassNumber {
    pub(super) layer: u32,
    pub(super) pass: u32,
}

/// What all replicas must agree on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Header {
    monoid: u32,
    layer: u32,
    pass: u32,
    channels: u32,
    epsilon: u32,
    settings: u32,
    /// Of leaky ReLU; 0 of all others.
    negative_slope: u32,
    /// 0 if it is cumulative, or there are no running statistics.
    momentum: u32,
}

impl Header {
    pub(super) fn new(monoid: Monoid, number: PassNumber, options: &Options) -> Self {
        let dtype = match options.dtype {
            Dtype::F32 => 0,
            Dtype::F16 => 1,
            Dtype::BF16 => 2,
        };
        let activation = match options.activation {
            Activation::None => 0,
            Activation::Relu => 1,
            Activation::LeakyRelu { .. } => 2,
            Activation::Silu => 3,
            Activation::Gelu => 4,
            Activation::GeluTanh => 5,
            Activation::Sigmoid => 6,
            Activation::Tanh => 7,
        };
        let order = match options.order {
            Order::Post => 0,
            Order::Pre => 1,
        };
        let negative_slope = match options.activation {
            Activation::LeakyRelu { negative_slope } => negative_slope as f32,
            _ => 0.0,
        };
        let (momentum, is_cumulative) = match options.momentum {
            Momentum::MovingAverage(momentum) if options.running_statistics => (momentum as f32, false),
            Momentum::Cumulative if options.running_statistics => (0.0, true),
            _ => (0.0, false),
        };
        let flags = [
            (options.weight, flag::WEIGHT),
            (options.bias, flag::BIAS),
            (options.running_statistics, flag::RUNNING_STATISTICS),
            (options.guarded, flag::GUARDED),
            (is_cumulative, flag::CUMULATIVE),
        ];
        let flags: u32 = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum();
        Self {
            monoid: match monoid {
                Monoid::Moments => 0,
                Monoid::GradSums => 1,
                Monoid::DoubleGradSums => 2,
            },
            layer: number.layer,
            pass: number.pass,
            channels: options.channels as u32,
            epsilon: (options.eps as f32).to_bits(),
            settings: u32::from_le_bytes([dtype, activation, order, flags as u8]),
            negative_slope: negative_slope.to_bits(),
            momentum: momentum.to_bits(),
        }
    }

    fn words(self, mask: bool) -> [u32; HEADER_WORDS] {
        let Self { monoid, layer, pass, channels, epsilon, settings, negative_slope, momentum } = self;
        let monoid = monoid | if mask { MASKED } else { 0 };
        [MAGIC, monoid, layer, pass, channels, epsilon, settings, negative_slope, momentum]
    }

    /// What the words of a message say, and whether its replica has a mask.
    fn read(words: [u32; HEADER_WORDS]) -> Option<(Self, bool)> {
        let [magic, monoid, layer, pass, channels, epsilon, settings, negative_slope, momentum] = words;
        let mask = monoid & MASKED != 0;
        let monoid = monoid & !MASKED;
        let header = Self { monoid, layer, pass, channels, epsilon, settings, negative_slope, momentum };
        (magic == MAGIC).then_some((header, mask))
    }

    /// All that it says, by name: what tells most of replicas out of step comes first.
    fn fields(self) -> [(&'static str, String); 14] {
        let name = |names: &[&str], code: u32| {
            names.get(code as usize).map_or_else(|| format!("number {code}"), ToString::to_string)
        };
        let float = |bits: u32| f32::from_bits(bits).to_string();
        let [dtype, activation, order, flags] = self.settings.to_le_bytes().map(u32::from);
        let is_set = |flag: u32| (flags & flag != 0).to_string();
        let momentum = match flags & flag::CUMULATIVE {
            0 => float(self.momentum),
            _ => "cumulative".to_owned(),
        };
        [
            ("layer", self.layer.to_string()),
            ("pass number", self.pass.to_string()),
            ("pass", name(PASSES, self.monoid)),
            ("number of channels", self.channels.to_string()),
            ("eps", float(self.epsilon)),
            ("dtype", name(DTYPES, dtype)),
            ("activation", name(ACTIVATIONS, activation)),
            ("order of the activation", name(ORDERS, order)),
            ("negative_slope", float(self.negative_slope)),
            ("weight", is_set(flag::WEIGHT)),
            ("bias", is_set(flag::BIAS)),
            ("running_statistics", is_set(flag::RUNNING_STATISTICS)),
            ("guarded", is_set(flag::GUARDED)),
            ("momentum", momentum),
        ]
    }

    /// What passes of this header exchange.
    pub(super) fn monoid(self) -> Monoid {
        match self.monoid {
            0 => Monoid::Moments,
            1 => Monoid::GradSums,
            _ => Monoid::DoubleGradSums,
        }
    }

    /// C.
    pub(super) fn channels(self) -> usize {
        self.channels as usize
    }

    /// Bytes of the records of all channels.
    pub(super) fn record_bytes(self) -> usize {
        self.channels() * self.monoid().bytes() as usize
    }

    /// Appends the section of a replica that found `records`, with a mask or without. The words of a device and
    /// those of a message are little-endian, so records travel as they are.
    pub(super) fn encode(self, mask: bool, records: &[u8], message: &mut Vec<u8>) {
        message.reserve(HEADER_BYTES + records.len());
        message.extend(self.words(mask).iter().flat_map(|word| word.to_le_bytes()));
        message.extend_from_slice(records);
    }

    /// Whether replica `rank` has a mask, the records in the first section of `rest`, if it agrees with this one,
    /// and what comes after that section. The message has `actual` bytes, this replica's own `expected`.
    pub(super) fn decode(
        self,
        rank: usize,
        rest: &[u8],
        [actual, expected]: [usize; 2],
    ) -> Result<(bool, &[u8], &[u8]), SyncError> {
        let malformed = || SyncError::Malformed { rank, actual: actual as u64, expected: expected as u64 };
        let (header, rest) = rest.split_first_chunk::<HEADER_BYTES>().ok_or_else(malformed)?;
        let mut words = header.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word));
        let words = std::array::from_fn(|_| words.next().unwrap_or_default());
        let (theirs, mask) = Self::read(words).ok_or_else(malformed)?;
        if theirs != self {
            let mut fields = theirs.fields().into_iter().zip(self.fields());
            let differs = fields.find(|(actual, expected)| actual != expected);
            // Bits that this version does not know differ without a name.
            let ((what, actual), (_, expected)) = differs.ok_or_else(malformed)?;
            return Err(SyncError::Disagree { rank, what, actual, expected });
        }
        let (records, rest) = rest.split_at_checked(self.record_bytes()).ok_or_else(malformed)?;
        Ok((mask, records, rest))
    }
}
