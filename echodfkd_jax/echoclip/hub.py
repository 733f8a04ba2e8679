"""EchoCLIP's weights from the Hugging Face hub, for a user who is logged in there."""

import pathlib

from echodfkd_jax.errors import UserError

REPOSITORY = "mkaichristensen/echo-clip"
FILENAME = "open_clip_pytorch_model.bin"

_LOCAL_COPY = f"or set the judge's `weights` to a local copy of {FILENAME}"


def fetch_echoclip_weights(repository: str = REPOSITORY, filename: str = FILENAME) -> pathlib.Path:
    """The path of the weights in the hub's local cache; downloads them the first time (600 MB).

    Raises:
        UserError: `huggingface_hub` is not installed, nobody is logged in, access was not granted,
            or the hub cannot be reached; the message says what to do.
    """
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError as error:
        raise UserError(
            f"EchoCLIP's weights are on the Hugging Face hub ({repository}), but huggingface_hub "
            f"is not installed; `pip install huggingface_hub`, {_LOCAL_COPY}"
        ) from error
    try:
        # A file that is already in the cache needs neither network nor login.
        return pathlib.Path(
            huggingface_hub.hf_hub_download(repository, filename, local_files_only=True)
        )
    except errors.LocalEntryNotFoundError:
        pass
    if not huggingface_hub.get_token():
        raise UserError(
            f"not logged in to the Hugging Face hub, where EchoCLIP's weights are: accept the "
            f"licence at huggingface.co/{repository}, run `hf auth login`, {_LOCAL_COPY}"
        )
    try:
        return pathlib.Path(huggingface_hub.hf_hub_download(repository, filename))
    except errors.LocalEntryNotFoundError as error:
        raise UserError(
            f"the Hugging Face hub cannot be reached and {repository} is not in its local cache; "
            f"check the network, {_LOCAL_COPY}"
        ) from error
    except (errors.HfHubHTTPError, OSError) as error:
        raise UserError(
            f"the Hugging Face hub did not give {repository}/{filename} "
            f"({type(error).__name__}); accept the licence on its page with the account that is "
            f"logged in, {_LOCAL_COPY}"
        ) from error
