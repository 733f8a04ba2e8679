"""One per-device function on every device. All assumptions about devices are in this file.

A function `f(state, batch)` gets the whole state and its shard of the batch on each device, and
returns what is the same everywhere (it sums and averages over the axis `Parallel.axis_name`).

On several hosts one process runs per host (or per GPU). Each reads its own rows of every batch and
takes the same steps; what is read or written once is done by the first process, see `on_first`.
"""

import collections
import json
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from echodfkd_jax.errors import UserError
from echodfkd_jax.settings import ParallelSettings

_AXIS = "data"
# The class is in jaxlib's binary, which no annotation describes.
_Devices = Sequence[jax.Device]  # pyright: ignore[reportInvalidTypeForm]


def join(settings: ParallelSettings) -> None:
    """Brings the processes of a run together; does nothing where this one is alone.

    Has to come before anything else that touches a device.

    Raises:
        UserError: no cluster was found, the others do not answer, or a device was touched.
    """
    if not settings.coordinator or jax.distributed.is_initialized():
        return
    # Lets the processes agree on the step after which they stop, see `interruption.py`.
    jax.config.update("jax_enable_preemption_service", True)
    told = {}
    if settings.coordinator != "auto":
        told = {
            "coordinator_address": settings.coordinator,
            "num_processes": settings.num_processes,
            "process_id": settings.process_id,
        }
    try:
        jax.distributed.initialize(**told)
    except (RuntimeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"config.parallel.coordinator={settings.coordinator!r}: the processes cannot be "
            f"brought together ({reason}); several of them run --stage=train alone, started as in "
            "docs/launching.md"
        ) from error


def is_first() -> bool:
    """Whether this process is the one that writes and speaks."""
    return jax.process_index() == 0


def on_first(function: Callable[[], Any]) -> Any:
    """Calls `function` in the first process alone and returns its result, of JSON's types, in all.

    Raises:
        UserError: in every process where it was raised in the first.
    """
    if jax.process_count() == 1:
        return function()
    answer: dict[str, Any] = {}
    if is_first():
        try:
            answer = {"value": function()}
        except UserError as error:
            answer = {"error": str(error)}
    text = np.frombuffer(json.dumps(answer).encode(), np.uint8)
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(text))))
    text = multihost_utils.broadcast_one_to_all(np.resize(text, size))
    answer = json.loads(bytes(np.asarray(text, np.uint8)))
    if "error" in answer:
        raise UserError(answer["error"])
    return answer["value"]


def on_all(function: Callable[[], Any]) -> Any:
    """Calls `function` in every process; where it fails in one of them, none goes on.

    Raises:
        UserError: there and in the others.
    """
    if jax.process_count() == 1:
        return function()
    result, mistake = None, None
    try:
        result = function()
    except UserError as error:
        mistake = error
    failed = multihost_utils.process_allgather(np.int32(mistake is not None))
    if mistake is not None:
        raise mistake
    if np.any(failed):
        raise UserError(f"process {int(np.argmax(failed))} could not begin; it says why")
    return result


def from_first(tree: Any) -> Any:
    """The first process's arrays, in all processes; the others give ones of the same shapes."""
    if jax.process_count() == 1:
        return tree
    return multihost_utils.broadcast_one_to_all(jax.tree.map(np.asarray, tree))


def over_local_devices(clips: np.ndarray) -> np.ndarray | jax.Array:
    """Clips (b, ...) for a jitted function that treats each by itself, split over the devices.

    One device, or a number of clips that does not divide, leaves them where they are.
    """
    devices = jax.local_devices()
    if len(devices) == 1 or len(clips) % len(devices):
        return clips
    return jax.device_put(clips, NamedSharding(_mesh(devices), P(_AXIS)))


class Parallel:
    """Runs functions on all devices, in one of two ways with the same numbers.

    "jit" is `jax.jit`, on many devices over `jax.shard_map` on a one-dimensional mesh; "pmap" is
    `jax.pmap`. The state lives on every device: as one replicated array under "jit", with a leading
    axis of this process's devices under "pmap".

    Attributes:
        devices: of all processes, in the order of the shards.
        per_device_batch: rows of a batch that one device gets.
        axis_name: what the functions sum over; None where one device is alone.
        process_index: this process's place among those that have devices.
        num_processes: how many they are; each reads as many rows of a batch.
    """

    def __init__(
        self,
        settings: ParallelSettings,
        batch_size: int,
        devices: _Devices | None = None,
        *,
        accumulate_steps: int = 1,
    ) -> None:
        """Takes all devices unless told which.

        Args:
            settings: `mode` is used.
            batch_size: rows of a batch, over all devices.
            devices: in any order.
            accumulate_steps: micro-batches of a batch that the function takes one after the other.

        Raises:
            UserError: the batch does not divide over the devices.
        """
        # A process's devices, and with them the rows that it reads, lie together.
        devices = jax.devices() if devices is None else devices
        self.devices = sorted(devices, key=lambda device: (device.process_index, device.id))
        self._pmap = settings.mode == "pmap"
        self._micro_batches = accumulate_steps
        count = len(self.devices)
        if batch_size % (count * accumulate_steps):
            split = f" in config.train.accumulate_steps={accumulate_steps} micro-batches"
            raise UserError(
                f"config.train.batch_size={batch_size} does not divide over {count} devices"
                f"{split if accumulate_steps > 1 else ''}; "
                f"use a multiple of {count * accumulate_steps}"
            )
        self.per_device_batch = batch_size // count
        self.axis_name = _AXIS if self._pmap or count > 1 else None
        per_process = collections.Counter(device.process_index for device in self.devices)
        if len(set(per_process.values())) > 1:
            raise UserError(
                f"the processes have {sorted(per_process.values())} devices; each needs as many"
            )
        self.num_processes = len(per_process)
        self.process_index = sorted(per_process).index(jax.process_index())
        self._local = [d for d in self.devices if d.process_index == jax.process_index()]
        # pmap takes and gives this process's part of an array, shard_map the whole.
        self._mesh = _mesh(self._local if self._pmap else self.devices)

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
            count = len(self._local)
            tree = jax.tree.map(lambda x: np.broadcast_to(x, (count, *np.shape(x))), tree)
        return self._place(tree, P(_AXIS) if self._pmap else P())

    def first(self, tree: Any) -> Any:
        """One copy of a replicated tree, on this process's first device."""
        if self._pmap:
            return jax.tree.map(lambda x: x[0], tree)
        return jax.tree.map(lambda x: x.addressable_shards[0].data, tree)

    def shard(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """Gives every device its shard of the batch.

        Args:
            batch: this process's rows, part after part. Each part is divided over the devices, so
                that what is in a part does not depend on their number.
        """
        count = len(self._local)

        def by_device(rows: np.ndarray) -> np.ndarray:
            each = rows.shape[0] // (self._micro_batches * count)
            shards = rows.reshape(self._micro_batches, count, each, *rows.shape[1:]).swapaxes(0, 1)
            leading = (count, self._micro_batches * each) if self._pmap else (rows.shape[0],)
            return shards.reshape(*leading, *rows.shape[1:])

        return self._place({k: by_device(v) for k, v in batch.items()}, P(_AXIS))

    def _place(self, tree: Any, spec: P) -> Any:
        sharding = NamedSharding(self._mesh, spec)
        if sharding.is_fully_addressable:
            return jax.device_put(tree, sharding)
        return jax.tree.map(
            lambda x: jax.make_array_from_process_local_data(sharding, np.asarray(x)), tree
        )


def _mesh(devices: _Devices) -> Mesh:
    # Auto: with explicit axes, the default, gradients of convolutions fail.
    return Mesh(np.array(devices), (_AXIS,), axis_types=(AxisType.Auto,))
