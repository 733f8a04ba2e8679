"""The hub's client is replaced by one that fails in the ways the real one does."""

import sys
import types

import pytest

from echodfkd_jax.echoclip.hub import fetch_echoclip_weights
from echodfkd_jax.errors import UserError


class LocalEntryNotFoundError(FileNotFoundError):
    pass


class HfHubHTTPError(OSError):
    pass


@pytest.fixture
def hub(monkeypatch):
    """Logged out, nothing cached, no network; tests change what they need."""
    module = types.ModuleType("huggingface_hub")
    module.errors = types.ModuleType("huggingface_hub.errors")
    module.errors.LocalEntryNotFoundError = LocalEntryNotFoundError
    module.errors.HfHubHTTPError = HfHubHTTPError
    module.get_token = lambda: None
    module.cached = None
    module.answer = LocalEntryNotFoundError()

    def download(repository, filename, local_files_only=False):
        assert (repository, filename) == (
            "mkaichristensen/echo-clip",
            "open_clip_pytorch_model.bin",
        )
        if module.cached:
            return module.cached
        if local_files_only:
            raise LocalEntryNotFoundError
        if isinstance(module.answer, Exception):
            raise module.answer
        return module.answer

    module.hf_hub_download = download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", module.errors)
    return module


def test_without_the_client_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"pip install huggingface_hub.*local copy"):
        fetch_echoclip_weights()


def test_without_a_login_the_message_gives_the_steps(hub):
    with pytest.raises(UserError, match=r"not logged in.*accept the licence.*hf auth login"):
        fetch_echoclip_weights()


def test_a_cached_file_needs_no_login(hub):
    hub.cached = "/cache/weights.bin"
    assert str(fetch_echoclip_weights()) == "/cache/weights.bin"


def test_without_a_network_the_message_says_so(hub):
    hub.get_token = lambda: "token"
    with pytest.raises(UserError, match="cannot be reached"):
        fetch_echoclip_weights()


def test_a_refusal_names_the_error_and_the_licence(hub):
    hub.get_token = lambda: "token"
    hub.answer = HfHubHTTPError("403")
    with pytest.raises(UserError, match=r"HfHubHTTPError.*accept the licence"):
        fetch_echoclip_weights()


def test_a_logged_in_user_gets_the_file(hub):
    hub.get_token = lambda: "token"
    hub.answer = "/cache/fetched.bin"
    assert str(fetch_echoclip_weights()) == "/cache/fetched.bin"
