import pytest

from benchmarks.hlo_cost import bytes_of, cost_of_program

# Three passes over a 4 x 8 x 128 array: a slice is read, multiplied, and its result written.
PROGRAM = """HloModule jit_f, is_scheduled=true

%fused (array: f32[4,8,128], number: s32[]) -> f32[8,128] {
  %array = f32[4,8,128]{2,1,0:T(8,128)} parameter(0)
  %number = s32[]{:T(128)} parameter(1)
  %zero = s32[]{:T(128)} constant(0)
  %row = f32[1,8,128]{2,1,0:T(8,128)} dynamic-slice(%array, %number, %zero, %zero), \
dynamic_slice_sizes={1,8,128}
  ROOT %flat = f32[8,128]{1,0:T(8,128)} bitcast(%row)
}

%body (state: (s32[], f32[4,8,128], f32[128,16])) -> (s32[], f32[4,8,128], f32[128,16]) {
  %state = STATE parameter(0)
  %count = s32[]{:T(128)} get-tuple-element(%state), index=0
  %all = f32[4,8,128]{2,1,0:T(8,128)} get-tuple-element(%state), index=1
  %weights = f32[128,16]{1,0:T(8,128)S(1)} get-tuple-element(%state), index=2
  %one = f32[8,128]{1,0:T(8,128)S(1)} fusion(%all, %count), kind=kLoop, calls=%fused, \
backend_config={"window_config":{"estimated_cycles":"10"}}
  %product = f32[8,16]{1,0:T(8,128)} dot(%one, %weights), lhs_contracting_dims={1}, \
rhs_contracting_dims={0}
  ROOT %next = STATE tuple(%count, %all, %weights)
}

%condition (state: (s32[], f32[4,8,128], f32[128,16])) -> pred[] {
  %state = STATE parameter(0)
  %count = s32[]{:T(128)} get-tuple-element(%state), index=0
  %limit = s32[]{:T(128)} constant(3)
  ROOT %less = pred[]{:T(512)} compare(%count, %limit), direction=LT
}

ENTRY %main (start: (s32[], f32[4,8,128], f32[128,16])) -> f32[4,8,128] {
  %start = STATE parameter(0)
  %loop = STATE while(%start), condition=%condition, body=%body
  %result = f32[4,8,128]{2,1,0:T(8,128)} get-tuple-element(%loop), index=1
  ROOT %copy = f32[4,8,128]{0,2,1:T(8,128)} copy(%result)
}
""".replace(
    "STATE", "(s32[]{:T(128)}, f32[4,8,128]{2,1,0:T(8,128)}, f32[128,16]{1,0:T(8,128)S(1)})"
)


def test_a_loop_counts_by_its_trips_and_a_slice_by_its_size():
    cost = cost_of_program(PROGRAM)
    row, product = 4 * 8 * 128, 4 * 8 * 128  # 16 columns are stored as 128.
    whole, transposed = 4 * row, 4 * 8 * 128 * 128  # The axis of 4 is stored as 128.
    # The loop's counter, four bytes, is read by the fusion.
    assert cost.num_bytes == 3 * (row + 4 + product) + whole + transposed
    assert cost.operations == 3 * 2 * 8 * 16 * 128
    assert cost.cycles == 30


@pytest.mark.parametrize(
    ("shape", "stored"),
    [
        ("f32[8,112,112,12]{3,2,1,0:T(8,128)}", 4 * 8 * 112 * 112 * 128),
        ("bf16[8,112,112,12]{2,3,1,0:T(8,128)(2,1)}", 2 * 8 * 112 * 16 * 128),
        ("f32[8,128]{1,0:T(8,128)S(1)}", 0),
        ("(f32[2]{0}, s32[])", 12),
    ],
)
def test_padding_counts_and_memory_on_the_chip_does_not(shape, stored):
    assert bytes_of(shape) == stored
