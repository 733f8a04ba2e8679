"""A picture as the start of a sampler, at a noise level of one's choice (SDEdit; Free-Echo).

Source: Meng et al., "SDEdit: guided image synthesis and editing with stochastic differential
equations", arXiv 2108.01073.
"""

from jaxtyping import Array, Float

from echodfkd_jax.errors import UserError
from echodfkd_jax.synthesis.diffusion.predictions import mix
from echodfkd_jax.synthesis.diffusion.schedules import Level, Steps

# Free-Echo's: sigma 18.99 of its 64 levels.
FIRST_STEP = 15


def inject(
    picture: Float[Array, "*state"],
    noise: Float[Array, "*state"],
    steps: Steps,
    first: int,
    *,
    published: bool = False,
) -> Float[Array, "*state"]:
    """The state at the level of step `first`, to be given to `samplers.run` with the same `first`.

    Args:
        picture: what is to come out, roughly; -1 to 1.
        noise: standard normal.
        steps: of the sampler.
        first: the step; lower ones change the picture more.
        published: without the level's noise, so that the churn of step `first` is all there is:
            standard deviation 19.05 instead of 26.90 at Free-Echo's step 15.

    Raises:
        UserError: there is no such step.
    """
    if not 0 <= first < steps.count:
        raise UserError(f"start step {first}: expected 0 to {steps.count - 1}")
    if published:
        return picture
    return mix(picture, noise, Level(steps.signal[first], steps.noise[first]))
