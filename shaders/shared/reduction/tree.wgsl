// Merges the ROWS records of each column by a fixed tree; the result is valid in row 0.
// No lane reads what another writes between the same two barriers.
var<workgroup> tree: array<Record, WORKGROUP>;

fn reduce(mine: Record, lane: u32) -> Record {
    var total = mine;
    tree[lane] = total;
    for (var step = 1u; step <= REDUCTION_STEPS; step++) { // unroll
        workgroupBarrier();
        if (lane < (WORKGROUP >> step)) {
            total = combine(total, tree[lane + (WORKGROUP >> step)]);
            tree[lane] = total;
        }
    }
    return total;
}

// Between two reductions: no lane writes what another one still reads.
fn settle() { workgroupBarrier(); }

// The same, and every lane of the column gets the result.
fn reduce_to_all(mine: Record, lane: u32) -> Record {
    reduce(mine, lane);
    workgroupBarrier();
    return tree[lane % COLUMNS];
}
