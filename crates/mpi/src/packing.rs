//! Several records in one message.

use crate::MpiError;
use crate::schedule::Blocks;
use std::rc::Rc;

/// One record as it is; several behind their lengths.
pub(crate) fn pack(blocks: Blocks, known: &[Option<Rc<Vec<u8>>>]) -> Rc<Vec<u8>> {
    let record = |rank: usize| known.get(rank).and_then(Option::as_ref);
    if blocks.count == 1
        && let Some(record) = record(blocks.first)
    {
        return record.clone();
    }
    let records = || blocks.ranks(known.len()).filter_map(record);
    let lengths = records().flat_map(|record| (record.len() as u64).to_le_bytes());
    let mut message: Vec<u8> = lengths.collect();
    message.reserve(records().map(|record| record.len()).sum());
    records().for_each(|record| message.extend_from_slice(record));
    Rc::new(message)
}

/// Takes apart what [`pack`] has made.
pub(crate) fn unpack(
    from: usize,
    message: Vec<u8>,
    blocks: Blocks,
    known: &mut [Option<Rc<Vec<u8>>>],
) -> Result<(), MpiError> {
    let size = known.len();
    let mut put = |rank: usize, record: Vec<u8>| {
        if let Some(place) = known.get_mut(rank)
            && place.is_none()
        {
            *place = Some(Rc::new(record));
        }
    };
    if blocks.count == 1 {
        put(blocks.first, message);
        return Ok(());
    }
    let malformed = || MpiError::Malformed { rank: from, actual: message.len(), blocks: blocks.count };
    let (lengths, mut rest) = message.split_at_checked(8 * blocks.count).ok_or_else(malformed)?;
    for (rank, length) in blocks.ranks(size).zip(lengths.as_chunks::<8>().0) {
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| malformed())?;
        let (record, after) = rest.split_at_checked(length).ok_or_else(malformed)?;
        put(rank, record.to_vec());
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(malformed()) }
}
