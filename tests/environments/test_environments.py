"""Our environments: what of a site's settings gets in, and when one counts as whole."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from evenground.environments import build as environment
from evenground.environments import site_settings
from evenground.environments.build import MARKER, ROOT, fault, isolate_commands
from evenground.environments.cache import with_cache
from evenground.errors import EvengroundError
from evenground.preflight.experiment import environment_bytes
from logged import logged

Variables = dict[str, str]
INDEX = "https://name:word@mirror.example/simple"
STEERING = {
    "PYTHONPATH": "/x",
    "PYTHONHOME": "/x",
    "PYTHONSAFEPATH": "1",
    "PYTHONSTARTUP": "/x",
    "PYTHONUSERBASE": "/x",
    "PYTHONNOUSERSITE": "1",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "PYTHONPYCACHEPREFIX": "/x",
}
OF_TOOLS = {
    "PIP_TARGET": "/x",
    "PIP_PREFIX": "/x",
    "PIP_USER": "1",
    "PIP_DRY_RUN": "1",
    "PIP_NO_BINARY": ":all:",
    "PIP_CONSTRAINT": "/x",
    "PIP_CONFIG_FILE": "/x",
    "UV_SYSTEM_PYTHON": "1",
    "UV_PROJECT_ENVIRONMENT": "/x",
    "UV_PYTHON": "3.7",
    "UV_TARGET": "/x",
    "UV_EXCLUDE_NEWER": "2020-01-01",
    "UV_CONFIG_FILE": "/x",
    "VIRTUAL_ENV": "/x",
    "CONDA_PREFIX": "/x",
}
HOW_TO_REACH = {
    "HTTPS_PROXY": "http://proxy.example:3128",
    "SSL_CERT_FILE": "/etc/certificate.pem",
    "NETRC": "/x/netrc",
    "HOME": "/home/x",
    "PATH": "/usr/bin:/bin",
}


def test_what_steers_a_shell_is_known() -> None:
    for name in ("BASH_ENV", "ENV", "SHELLOPTS", "BASH_FUNC_module%%", "BASH_FUNC_tee()"):
        assert site_settings.steers_shell(name), name
    for name in ("SHELL", "BASH", "ENVIRONMENT", "PATH", "BASHRC"):
        assert not site_settings.steers_shell(name), name


def test_what_steers_python_and_its_tools_is_left_out_and_how_to_reach_an_index_is_not() -> None:
    given = {**STEERING, **OF_TOOLS, **HOW_TO_REACH, "PYTHONUNBUFFERED": "1"}
    assert site_settings.for_tools(given) == {**HOW_TO_REACH, "PYTHONUNBUFFERED": "1"}
    assert not site_settings.without_python(given).keys() & STEERING.keys()
    own = {"PIP_CONFIG_FILE": os.devnull}
    assert site_settings.variables_for_pip({}, given).items() - HOW_TO_REACH.items() == {
        *own.items(),
        ("PYTHONUNBUFFERED", "1"),
    }
    assert not site_settings.variables_for_uv({}, given).keys() & {*STEERING, *OF_TOOLS}


def test_of_pips_settings_only_indexes_and_how_to_reach_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_settings, "SYSTEM", tmp_path / "none")
    files = {
        "etc/pip/pip.conf": "[global]\nindex-url = https://first.example\ncert = /etc/own.pem\ntarget = /x\n",
        "home/.pip/pip.conf": "[global]\nuser = true\nquiet = 3\nisolated = true\n",
        "home/.config/pip/pip.conf": f"[install]\nindex_url = {INDEX}\n[global]\nrequire-virtualenv = true\n"
        "extra-index-url =\n    https://a.example\n    https://b.example\n[download]\nno-index = true\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    given = {"HOME": str(tmp_path / "home"), "XDG_CONFIG_DIRS": str(tmp_path / "etc")}
    given |= {
        "PIP_TRUSTED_HOST": "mirror.example",
        "PIP_FIND_LINKS": "/wheels near",
        "PIP_USER": "1",
        "PIP_CERT": "",
    }
    settings = {key: value.strip() for key, value in site_settings.pip_settings(given).items()}
    assert settings == {
        "index-url": INDEX,
        "extra-index-url": "https://a.example\nhttps://b.example",
        "find-links": "/wheels near",
        "trusted-host": "mirror.example",
        "cert": "/etc/own.pem",
    }
    assert site_settings.variables_for_pip(settings, {}) == {
        "PIP_INDEX_URL": INDEX,
        "PIP_EXTRA_INDEX_URL": "https://a.example\nhttps://b.example",
        "PIP_FIND_LINKS": "/wheels near",
        "PIP_TRUSTED_HOST": "mirror.example",
        "PIP_CERT": "/etc/own.pem",
        "PIP_CONFIG_FILE": os.devnull,
    }
    assert tomllib.loads(site_settings.uv_file(settings, {"XDG_CONFIG_DIRS": str(tmp_path)})) == {
        "index-strategy": "unsafe-best-match",
        "index-url": INDEX,
        "extra-index-url": ["https://a.example", "https://b.example"],
        "find-links": ["/wheels", str(Path("near").absolute())],
        "allow-insecure-host": ["mirror.example"],
    }
    assert site_settings.variables_for_uv(settings, {}) == {"SSL_CERT_FILE": "/etc/own.pem"}


def test_a_file_that_is_named_takes_the_users_place_and_the_empty_one_that_of_all(
    tmp_path: Path,
) -> None:
    (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {INDEX}\nuser = true\n")
    (tmp_path / ".config/pip").mkdir(parents=True)
    (tmp_path / ".config/pip/pip.conf").write_text("[global]\nno-index = true\n")
    given = {"HOME": str(tmp_path), "XDG_CONFIG_DIRS": str(tmp_path)}
    settings = site_settings.pip_settings({**given, "PIP_CONFIG_FILE": str(tmp_path / "pip.conf")})
    assert settings["index-url"] == INDEX and "no-index" not in settings
    assert (
        site_settings.pip_settings({**given, "PIP_CONFIG_FILE": str(tmp_path / "none")})["no-index"]
        == "true"
    )
    assert site_settings.pip_settings({**given, "PIP_CONFIG_FILE": os.devnull}) == {}


def test_a_broken_file_of_pip_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text("index-url = x\n")
    read = "pip's settings cannot be read: "
    with pytest.raises(EvengroundError, match=rf"(?s){read}.* \(.*pip.conf\): fix"):
        site_settings.pip_settings({"PIP_CONFIG_FILE": str(tmp_path / "pip.conf")})


def test_uvs_own_variables_come_before_pips_settings_and_its_files_count_for_nothing(
    tmp_path: Path,
) -> None:
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv/uv.toml").write_text('index-url = "https://file.example"\n')
    given = {"XDG_CONFIG_HOME": str(tmp_path), "UV_CONFIG_FILE": str(tmp_path / "uv/uv.toml")}
    pips = {"index-url": INDEX}
    assert tomllib.loads(site_settings.uv_file(pips, given))["index-url"] == INDEX
    assert site_settings.uv_file(pips, {**given, "UV_DEFAULT_INDEX": INDEX}) == ""
    assert "UV_CONFIG_FILE" not in site_settings.variables_for_uv(pips, given)
    named = {"UV_INDEX_OWN_USERNAME": "n", "UV_INDEX_OWN_PASSWORD": "w", "UV_HTTP_TIMEOUT": "60"}
    named |= {"UV_DEFAULT_INDEX": INDEX, "UV_CACHE_DIR": "/c"}
    assert site_settings.variables_for_uv({}, named) == named


def made(folder: Path, broken: str = "") -> Path:
    """An environment with two packages, marked as complete."""
    venv.create(folder, symlinks=True)
    (site,) = folder.glob("lib/python3*/site-packages")
    for name in ("one", "two"):
        about = site / f"{name}-1.0.dist-info"
        about.mkdir()
        (site / name).mkdir()
        text = "raise ImportError('no such\\nlibrary')\n" if broken == name else "value = 1\n"
        (site / name / "__init__.py").write_text(text)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        record = f"{name}/__init__.py,,{len(text)}\n../../../bin/{name},,1\n{name}-1.0.dist-info/METADATA,,\n"
        (about / "RECORD").write_text(record)
        (folder / "bin" / name).write_text(
            f"#!{folder}/bin/python\nimport sys\nprint(sys.flags.isolated)\n"
        )
        (folder / "bin" / name).chmod(0o755)
    (folder / MARKER).write_text('{"packages": {"one": "1.0", "two": "1.0"}}')
    return site


def test_one_that_is_whole_has_no_fault_whatever_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path / "made")
    for name, value in (STEERING | OF_TOOLS).items():
        monkeypatch.setenv(name, value)
    assert fault(tmp_path / "made") == ""


def damage(folder: Path, site: Path, how: str) -> None:
    if how == "emptied":
        for path in (folder / "bin").iterdir():
            path.unlink()
    elif how == "python upgraded away":
        (folder / "bin/python").unlink()
        (folder / "bin/python").symlink_to("/usr/bin/python3.2")
    elif how == "another python":
        site.parent.rename(site.parent.with_name("python3.2"))
    elif how == "a package removed":
        for path in [*(site / "two").iterdir(), *(site / "two-1.0.dist-info").iterdir()]:
            path.unlink()
        (site / "two-1.0.dist-info").rmdir()
    elif how == "half a package":
        (site / "two/__init__.py").unlink()
    elif how == "a file cut short":
        (site / "two/__init__.py").write_text("val")
    elif how == "a command removed":
        (folder / "bin/two").unlink()
    elif how == "another version":
        about = site / "two-1.0.dist-info/METADATA"
        about.write_text(about.read_text().replace("1.0", "1.1"))
    elif how == "an older marker":
        (folder / MARKER).write_text("two.txt\n")
    else:
        (folder / MARKER).unlink()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("emptied", "its Python cannot be started: No such file or directory"),
        ("python upgraded away", "its Python cannot be started: No such file or directory"),
        ("another python", "one is missing"),
        ("a package removed", "two is missing"),
        ("half a package", "two lacks two/__init__.py"),
        ("a file cut short", "two has a damaged file two/__init__.py: 3 bytes instead of 10"),
        ("a command removed", "two lacks ../../../bin/two"),
        ("another version", "two is 1.1, locked is 1.0"),
        ("an older marker", "its packages were not written down"),
        ("no marker", "it is not complete"),
    ],
)
def test_a_broken_one_has_its_fault_in_one_line(tmp_path: Path, how: str, why: str) -> None:
    damage(tmp_path / "made", made(tmp_path / "made"), how)
    assert fault(tmp_path / "made") == why


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an environment that is locked to two packages; nothing is installed by itself."""
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs/two.in").write_text("one  # why\nTwo>=1\n")
    (tmp_path / "envs/two.txt").write_text(
        "one==1.0 \\\n    --hash=sha256:1\ntwo==1.0 ; x\nthree==3 ; y\n"
    )
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setenv("EVENGROUND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(environment, "require_space", lambda folder, least: None)
    return environment.env_dir("two")


def installing(monkeypatch: pytest.MonkeyPatch, broken: str = "", damaged: str = "") -> list[str]:
    """Let `made` stand for the installer; the names it was called with."""
    called = []

    def install(name: str, folder: Path) -> None:
        called.append(name)
        assert not (folder / MARKER).exists(), "what is being built is not complete"
        subprocess.run(["rm", "-rf", str(folder)], check=True)
        site = made(folder, broken)
        (folder / MARKER).unlink()
        if damaged:
            damage(folder, site, damaged)

    monkeypatch.setattr(environment, "install_with_uv", install)
    return called


def test_the_room_it_needs_is_the_room_that_preflight_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENGROUND_CACHE", str(tmp_path))
    asked: dict[str, int] = {}
    for name in ("jax", "jax-cuda"):

        def need(folder: Path, least: int, name: str = name) -> None:
            asked[name] = least
            raise EvengroundError("it", "is", "enough")

        monkeypatch.setattr(environment, "require_space", need)
        with pytest.raises(EvengroundError):
            environment.build(name)
    assert asked == {name: environment_bytes({name: "it is not complete"}) for name in asked}
    assert asked["jax-cuda"] > asked["jax"]


def test_it_is_built_once_and_a_broken_one_anew(
    named: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called = installing(monkeypatch)
    assert environment.build("two") == environment.build("two") == named and called == ["two"]
    assert json.loads((named / MARKER).read_text()) == {"packages": {"one": "1.0", "two": "1.0"}}
    (site,) = named.glob("lib/python3*/site-packages")
    (site / "one/__init__.py").unlink()
    capsys.readouterr()
    environment.build("two")
    assert called == ["two", "two"] and fault(named) == ""
    said = "warning: the environment 'two' is broken: one lacks one/__init__.py"
    assert said in logged(capsys.readouterr().err)


def test_the_pipeline_forgets_a_broken_one_and_keeps_a_whole_one(
    named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.forget_broken(["two"])
    site = made(named)
    environment.forget_broken(["two"])
    assert (named / MARKER).is_file()
    damage(named, site, "half a package")
    environment.forget_broken(["two"])
    assert not (named / MARKER).exists()


@pytest.mark.parametrize(
    ("broken", "damaged", "why"),
    [
        ("two", "", "import two: ImportError: no such library"),
        ("", "a package removed", "two is missing"),
        ("", "half a package", "two lacks two/__init__.py"),
        ("", "another version", "two is 1.1, locked is 1.0"),
        ("", "emptied", "its Python cannot be started"),
    ],
)
def test_one_whose_packages_do_not_work_is_never_marked(
    named: Path, monkeypatch: pytest.MonkeyPatch, broken: str, damaged: str, why: str
) -> None:
    installing(monkeypatch, broken, damaged)
    with pytest.raises(
        EvengroundError, match=rf"the environment 'two' does not work: {why}.*: docs"
    ):
        environment.build("two")
    assert not (named / MARKER).exists()


def test_each_python_has_its_own(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evenground.environments.build.sys.version_info", (3, 99, 1, "final", 0))
    assert environment.env_dir("two") != named and environment.env_dir("two").parent == named.parent


@pytest.mark.slow
def test_the_real_installers_put_it_where_it_belongs_whatever_is_set(tmp_path: Path) -> None:
    hostile = {**STEERING, **OF_TOOLS, "EVENGROUND_CACHE": str(tmp_path / "cache 1")}
    hostile |= {
        name: str(tmp_path / "elsewhere") for name in ("PIP_TARGET", "UV_TARGET", "VIRTUAL_ENV")
    }
    # With a Python's home set wrong the caller's own does not start, and a named file hides the site's own.
    for name in ("PYTHONHOME", "PIP_CONFIG_FILE", "UV_CONFIG_FILE"):
        del hostile[name]
    command = [sys.executable, str(ROOT / "scripts/environment.py"), "explain"]
    env = {**os.environ, **hostile}
    for _ in range(2):
        done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        folder = Path(done.stdout.strip())
        assert folder.parent == tmp_path / "cache 1/envs" and fault(folder) == ""
        assert (folder / "bin/py-spy").is_file() and not (tmp_path / "elsewhere").exists()
        # The next invocation finds both of them emptied.
        for path in tmp_path.glob("cache 1/envs/*/bin/*"):
            path.unlink()


@pytest.mark.parametrize("name", ["plain", "with 'one' and a blank"])
def test_commands_of_an_environment_do_not_see_what_is_set_for_python(
    tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    made(folder)
    python = folder / "bin/python"
    if " " in name:
        start = "#!/bin/sh\n'''exec' \"" + str(python) + '" "$0" "$@"\n' + "' '''\n"
        (folder / "bin/one").write_text(f"{start}import sys\nprint(sys.flags.isolated)\n")
    before = (folder / "bin/activate").read_text()
    isolate_commands(folder)
    assert (folder / "bin/activate").read_text() == before
    env = {"PYTHONPATH": "/x", "PYTHONWARNINGS": "error", "PATH": "/usr/bin:/bin"}
    assert (
        subprocess.run([folder / "bin/one"], env=env, capture_output=True, text=True).stdout
        == "1\n"
    )


def start(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts/start.py"), *words]
    env = {**os.environ, **variables}
    return subprocess.run(command, env=env, capture_output=True, text=True, cwd="/")


@pytest.mark.parametrize(
    ("variables", "why"),
    [
        (
            {"HOME": "/dev/null/none"},
            r"cannot write: Not a directory \(/dev/null/none/.cache/evenground/envs\)",
        ),
        (
            {"EVENGROUND_CACHE": "/proc/none"},
            r"cannot write: No such file or directory \(/proc/none/envs\)",
        ),
        ({"EVENGROUND_CACHE": "/dev/full"}, r"cannot write: .* \(/dev/full/envs\): "),
    ],
)
def test_a_cache_that_cannot_be_written_is_one_line(variables: Variables, why: str) -> None:
    given = {"EVENGROUND_CACHE": "", "XDG_CACHE_HOME": "", **variables}
    done = start("setup", **given)
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and re.search(why, line)
    assert line.endswith("point EVENGROUND_CACHE to a folder that can be written")


def test_it_starts_whatever_is_set_for_python_and_hands_nothing_of_it_on(tmp_path: Path) -> None:
    (tmp_path / "environment.py").write_text("raise SystemExit('not ours')\n")
    folder = tmp_path / "cache/envs" / environment.env_dir("workflow").name
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin/python"
    python.write_text('#!/bin/sh\ncase "$*" in *whole.py*) exit 0;; esac\nenv\necho "said: $*"\n')
    python.chmod(0o755)
    (folder / MARKER).touch()
    given = {**STEERING, "PYTHONPATH": str(tmp_path), "EVENGROUND_CACHE": str(tmp_path / "cache")}
    del given["PYTHONHOME"]
    done = start("quick", "--dry-run", **given)
    assert done.returncode == 0, done.stderr
    assert "said: -m snakemake --workflow-profile profiles/quick --dry-run" in done.stdout
    names = {line.split("=")[0] for line in done.stdout.splitlines()}
    assert "EVENGROUND_CACHE" in names and not names & STEERING.keys()


def test_tools_get_a_cache_where_the_users_own_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EVENGROUND_CACHE", "relative")
    own = {"EVENGROUND_CACHE": str(Path("relative").absolute())}
    assert with_cache({"EVENGROUND_CACHE": "relative"}) == own
    assert with_cache({"HOME": "x"}) == {"HOME": "x"}
    (tmp_path / ".cache").rmdir()
    (tmp_path / ".cache").touch()
    tools = {"XDG_CACHE_HOME": f"{own['EVENGROUND_CACHE']}/tools"}
    assert with_cache({"HOME": "x"}) == {"HOME": "x", **own, **tools}
