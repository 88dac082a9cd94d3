"""The workflows: valid, with no more rights than they need, pinned, and calling what is there."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pdf import NEEDED

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RIGHTS = {
    "ci/ci": {"contents": "read"},
    "ci/pages": {"pages": "write", "id-token": "write"},
    "weekly/drift": {"contents": "read", "issues": "write"},
    "weekly/links": {"contents": "read", "issues": "write"},
}


def jobs() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Every job as ``file/name`` with its workflow and itself."""
    found = []
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        found += [(f"{path.stem}/{name}", workflow, job) for name, job in workflow["jobs"].items()]
    return found


def test_every_job_has_the_rights_it_needs_and_no_other() -> None:
    assert {name: job.get("permissions", workflow["permissions"]) for name, workflow, job in jobs()} == RIGHTS
    assert all(workflow["permissions"] == {"contents": "read"} for _, workflow, _ in jobs())


@pytest.mark.parametrize(("name", "workflow", "job"), jobs(), ids=[name for name, _, _ in jobs()])
def test_a_job_is_pinned_and_calls_what_is_there(name: str, workflow: dict[str, Any], job: dict[str, Any]) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for step in job["steps"]:
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/none@v0")), step
        assert set(re.findall(r"make ([a-z-]+)", step.get("run", ""))) <= targets
        for script in re.findall(r"\.ci/\w+", step.get("run", "")):
            assert (ROOT / script).is_file()
        if "|" in step.get("run", ""):  # without pipefail a failure before the pipe is none
            assert workflow["defaults"]["run"]["shell"] == "bash"


def test_the_site_that_is_published_offers_the_pdf_and_does_without_it_if_latex_fails() -> None:
    steps = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["ci"]["steps"]
    made = next(i for i, step in enumerate(steps) if "make pdf" in step.get("run", ""))
    published = next(i for i, step in enumerate(steps) if "upload-pages-artifact" in step.get("uses", ""))
    assert made == published - 1
    assert steps[made]["run"].split("make pdf\n")[1] == "make book\n"  # again, with the link
    assert steps[made]["continue-on-error"] is True
    packages = {name for needed in NEEDED.values() for name in needed.split()}
    assert packages <= set(steps[made]["run"].split())


def test_the_weekly_workflow_runs_by_the_clock_and_speaks_up_when_a_step_failed() -> None:
    weekly = yaml.safe_load((ROOT / ".github" / "workflows" / "weekly.yml").read_text())
    minute, hour, *days = weekly[True]["schedule"][0]["cron"].split()  # YAML 1.1 reads the key 'on' as true
    assert (minute.isdigit(), hour.isdigit(), days) == (True, True, ["*", "*", "1"])
    for job in weekly["jobs"].values():
        assert job["steps"][-1]["if"] == "failure()"
        title, log = re.fullmatch(r'bash \.ci/issue "(.+)" (\S+)', job["steps"][-1]["run"]).groups()  # type: ignore[union-attr]
        assert title
        assert any(step.get("run", "").endswith(log) and "tee" in step["run"] for step in job["steps"][:-1])


@pytest.mark.parametrize(("open_issue", "expected"), [("", "issue create --title Drift"), ("17", "issue comment 17")])
@pytest.mark.parametrize(
    ("log", "shown"), [("pgd@0.05: 0.6 committed, 0.1 found\n", "0.1 found"), (None, "printed anything")]
)
def test_a_failure_opens_one_issue_and_adds_to_it(
    open_issue: str, expected: str, log: str | None, shown: str, tmp_path: Path
) -> None:
    gh = tmp_path / "gh"  # stands for the command of that name: notes what it was told
    gh.write_text(
        f'#!/usr/bin/env bash\nif [ "$2" = list ]; then echo "{open_issue}"; exit; fi\n'
        f'echo "$@" > {tmp_path}/told\ncat "${{@: -1}}" > {tmp_path}/body\n'
    )
    gh.chmod(0o755)
    if log is not None:
        (tmp_path / "log").write_text(log)
    run = {"GITHUB_SERVER_URL": "https://host", "GITHUB_REPOSITORY": "a/b", "GITHUB_RUN_ID": "9"}
    subprocess.run(
        ["bash", ROOT / ".ci" / "issue", "Drift", tmp_path / "log"],
        check=True,
        env={**os.environ, **run, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert (tmp_path / "told").read_text().startswith(expected)
    body = (tmp_path / "body").read_text()
    assert body.startswith("https://host/a/b/actions/runs/9\n\n````text\n")
    assert shown in body
