import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import students


@pytest.mark.parametrize(("blocks", "layers"), [(1, 2), (2, 1)])
def test_operations_counted_by_hand_are_those_that_xla_counts(blocks, layers):
    model, variables = students.ours(blocks, layers)
    frame = jnp.zeros((1, 1, 16, 16, 1))
    carry = model.initial_carry(1, 16, 16)

    def one_frame(carry, video):
        return model.apply(variables, carry, video, method="advance")

    counted = jax.jit(one_frame).lower(carry, frame).compile().cost_analysis()["flops"]
    by_hand = students.flops_per_frame(blocks, layers, 16)
    # XLA does not count products with the zeros around an image, and it counts the gates.
    assert 0.75 * by_hand < counted < 1.15 * by_hand


def test_flops_of_the_smallest_student():
    # One layer: 13 channels to 48 under 3x3; the head: 12 to 1.
    assert students.flops_per_frame(1, 1, 2) == 4 * (2 * 9 * 13 * 48 + 2 * 12)


def test_pytorch_students_give_our_logits():
    pytest.importorskip("torch")
    model, variables = students.ours(2, 2)
    student = students.theirs(variables, 2, 2)
    assert students.check_agreement(model, variables, student) < 1e-4


def test_a_student_with_other_weights_is_refused():
    torch = pytest.importorskip("torch")
    model, variables = students.ours(1, 1)
    student = students.theirs(variables, 1, 1)
    with torch.no_grad():
        student.output_layer.layer.bias += 1.0
    with pytest.raises(AssertionError, match="differ"):
        students.check_agreement(model, variables, student)


def test_clips_are_the_same_at_every_call():
    np.testing.assert_array_equal(students.clips(1, 2, 8), students.clips(1, 2, 8))
