"""One per-device function on every device. All assumptions about devices are in this file.

A function `f(state, batch)` gets the whole state and its share of the batch on each device, and
returns what is the same everywhere (it sums and averages over the axis `Parallel.axis_name`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from echodfkd_jax.distillation.settings import ParallelSettings
from echodfkd_jax.errors import UserError

_AXIS = "data"


class Parallel:
    """Runs functions on all devices, in one of two ways with the same numbers.

    "jit" is `jax.jit`, on many devices over `jax.shard_map` on a one-dimensional mesh; "pmap" is
    `jax.pmap`. The state lives on every device: as one replicated array under "jit", with a leading
    axis of devices under "pmap".

    Attributes:
        devices: in the order of the shares.
        axis_name: what the functions sum over; None where one device is alone.
    """

    def __init__(
        self,
        settings: ParallelSettings,
        batch_size: int,
        devices: Sequence[jax.Device] | None = None,
    ) -> None:
        """Takes all devices unless told which.

        Raises:
            UserError: the batch does not divide over the devices.
        """
        self.devices = list(jax.devices() if devices is None else devices)
        self._pmap = settings.mode == "pmap"
        count = len(self.devices)
        if batch_size % count:
            raise UserError(
                f"config.train.batch_size={batch_size} does not divide over {count} devices; "
                f"use a multiple of {count}"
            )
        self.per_device_batch = batch_size // count
        self.axis_name = _AXIS if self._pmap or count > 1 else None
        # Auto: with explicit axes, the default, gradients of convolutions fail.
        self._mesh = jax.make_mesh(
            (count,), (_AXIS,), axis_types=(AxisType.Auto,), devices=self.devices
        )

    def compile(
        self, function: Callable[[Any, Any], Any], *, donate: bool = False
    ) -> Callable[[Any, Any], Any]:
        """Returns `function(state, batch)` for all devices, compiled at its first call.

        Args:
            function: the per-device function.
            donate: the state's memory may be used for the result; the state given is gone then.
        """
        donated = (0,) if donate else ()
        if self._pmap:
            return jax.pmap(function, axis_name=_AXIS, devices=self.devices, donate_argnums=donated)
        if self.axis_name is None:
            return jax.jit(function, donate_argnums=donated)
        # check_vma=False: collectives are those written in the function, as under pmap; with the
        # check, differentiation would sum the gradients once more by itself.
        mapped = jax.shard_map(
            function, mesh=self._mesh, in_specs=(P(), P(_AXIS)), out_specs=P(), check_vma=False
        )
        return jax.jit(mapped, donate_argnums=donated)

    def replicate(self, tree: Any) -> Any:
        """Puts a host tree, or one on a single device, on every device."""
        if self._pmap:
            count = len(self.devices)
            stacked = jax.tree.map(lambda x: np.broadcast_to(x, (count, *np.shape(x))), tree)
            return jax.device_put(stacked, NamedSharding(self._mesh, P(_AXIS)))
        return jax.device_put(tree, NamedSharding(self._mesh, P()))

    def first(self, tree: Any) -> Any:
        """One copy of a replicated tree, on the first device."""
        if self._pmap:
            return jax.tree.map(lambda x: x[0], tree)
        return jax.tree.map(lambda x: x.addressable_shards[0].data, tree)

    def shard(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """Gives every device its share of the batch, in order."""
        if self._pmap:
            count = len(self.devices)
            batch = {
                k: v.reshape(count, v.shape[0] // count, *v.shape[1:]) for k, v in batch.items()
            }
        return jax.device_put(batch, NamedSharding(self._mesh, P(_AXIS)))
