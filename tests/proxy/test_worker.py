"""What a worker is told, and where it leaves things; a whole one is started in test_workers."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.errors import ConfigError
from proxy.worker import Source, Task, admin_path, main, totals_path


def test_a_task_survives_the_way_to_the_worker() -> None:
    task = Task(1, (6, 7), 8, "/tmp/x", Source(upstream="https://a.example/v1", listen="127.0.0.1:0", admin="127.0.0.1:0"))
    assert Task.from_json(task.to_json()) == task


def test_workers_share_no_file() -> None:
    paths = [make(Path("/x"), worker) for worker in range(3) for make in (admin_path, totals_path)]
    assert len(set(paths)) == len(paths)


def test_a_source_is_a_file_or_an_upstream(tmp_path: Path) -> None:
    made = Source(upstream="https://a.example/v1", listen="127.0.0.1:9", admin="127.0.0.1:8").load()
    assert (made.config.listen, made.config.upstreams["default"].kind) == ("127.0.0.1:9", "openai")
    with pytest.raises(ConfigError):
        Source(file=str(tmp_path / "none.yaml")).load()


def test_a_broken_configuration_is_said_before_anything_is_bound(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text("a: [", encoding="utf-8")
    assert main(Task(0, (0,), 0, str(tmp_path), Source(file=str(file))).to_json()) == 2
    assert str(file) in capsys.readouterr().err
