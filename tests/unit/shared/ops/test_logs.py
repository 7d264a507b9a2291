import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from sidecar.shared.ops.logs import configure_logging


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_json_object_a_line() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)

    structlog.get_logger("sidecar.sync").info("pushed", records=3, text="two\nlines")

    (event,) = events(stream)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "pushed",
        "level": "info",
        "logger": "sidecar.sync",
        "records": 3,
        "text": "two\nlines",
    }


def test_a_logger_made_before_the_set_up_follows_it() -> None:
    logger = structlog.get_logger("early")
    stream = io.StringIO()
    configure_logging(stream=stream)

    logger.warning("late")

    assert [event["logger"] for event in events(stream)] == ["early"]


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_level_is_the_least_that_is_written(level: str, expected: list[str]) -> None:
    stream = io.StringIO()
    configure_logging(level, stream=stream)

    for logger in (structlog.get_logger("own"), logging.getLogger("library")):
        for method in ("debug", "info", "warning", "error"):
            getattr(logger, method)("event")

    assert [event["level"] for event in events(stream)] == expected * 2


def test_records_of_libraries_come_out_alike() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)

    logging.getLogger("grpc._cython").error("connection %s lost", 7)

    (event,) = events(stream)
    assert sorted(event) == ["event", "level", "logger", "timestamp"]
    assert event["event"] == "connection 7 lost"
    assert event["logger"] == "grpc._cython"


def test_warnings_come_out_as_events() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old option", DeprecationWarning, stacklevel=1)

    (event,) = events(stream)
    assert event["logger"] == "py.warnings"
    assert "old option" in event["event"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_local_variables(log_format: Any) -> None:
    stream = io.StringIO()
    configure_logging("info", log_format, stream)
    customer = "acme-" + "secret"

    try:
        raise ValueError(len(customer))
    except ValueError:
        structlog.get_logger("own").exception("failed")
        logging.getLogger("library").exception("failed")

    assert stream.getvalue().count("ValueError: 11") == 2
    assert customer not in stream.getvalue()


def test_console_lines_are_plain_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    configure_logging("info", "console", stream)

    structlog.get_logger("own").info("started", port=7711)

    (line,) = stream.getvalue().splitlines()
    assert "\x1b" not in line
    assert "started" in line
    assert "port=7711" in line


class Broken(io.StringIO):
    def write(self, _text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written_fails_nobody() -> None:
    configure_logging(stream=Broken())

    structlog.get_logger("own").info("lost")
    logging.getLogger("library").info("lost")


def test_values_without_a_json_form_are_shown() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)

    structlog.get_logger("own").info("odd", key=b"\xff", surrogate="\udcff")

    assert events(stream)[0]["key"] == "b'\\xff'"


def test_the_last_set_up_counts() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging(stream=first)
    configure_logging("error", stream=second)

    structlog.get_logger("own").error("once")
    logging.getLogger("library").error("twice")

    assert first.getvalue() == ""
    assert [event["event"] for event in events(second)] == ["once", "twice"]


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(KeyError, match="loud"):
        configure_logging("loud")
