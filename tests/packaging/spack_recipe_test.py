"""spack_recipe_test.py SOURCE: the recipe's CMake arguments, with Spack played: what a variant does without is a row of the table of
requirements, and is left out exactly where the variant is off."""

import re
import runpy
import sys
import types
from pathlib import Path

source = Path(sys.argv[1])
recipe = source / "packaging/spack/spack_repo/caravan/packages/caravan/package.py"


class Nothing:
    """A directive of Spack: called, entered as a context, ignored."""

    def __call__(self, *_args, **_keys):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


class Spec:
    def __init__(self, on):
        self.on = on
        self.variants = {"host_archs": types.SimpleNamespace(value=("x86-64-v3", "x86-64-v4"))}

    def satisfies(self, text):
        return text.removeprefix("+") in self.on


class CMakePackage:
    run_tests = False

    def define(self, name, value):
        return name, value

    def define_from_variant(self, name, variant):
        return name, self.spec.satisfies("+" + variant)


class CudaPackage:
    cuda_arch_values = ("80", "90", "90a")


def play(name, **members):
    module = types.ModuleType(name)
    module.__dict__.update(members)
    sys.modules[name] = module


directives = ["conflicts", "depends_on", "generator", "license", "maintainers", "requires", "variant", "version", "when", "which"]
declared = {}


def depends_on(spec, **_keys):
    declared[re.split(r"[@+~ ]", spec)[0]] = True


for package in ("spack", "spack_repo", "spack_repo.builtin", "spack_repo.builtin.build_systems"):
    play(package)
play("spack_repo.builtin.build_systems.cmake", CMakePackage=CMakePackage)
play("spack_repo.builtin.build_systems.cuda", CudaPackage=CudaPackage)
play("spack.package", **{**{name: Nothing() for name in directives}, "depends_on": depends_on})
sys.dont_write_bytecode = True
Caravan = runpy.run_path(str(recipe))["Caravan"]

rows = {}
for line in (source / "cmake/CaravanRequirements.cmake").read_text().splitlines():
    fields = line.strip().strip('")').split("|")
    if len(fields) == 8 and line.startswith('  "'):
        rows[fields[0]] = fields
assert len(rows) > 20, rows

assert Caravan.git == source.resolve().as_uri(), Caravan.git
variants = list(Caravan.optional_things)
for off in [None, *variants]:
    package = Caravan()
    package.spec = Spec([name for name in variants if name != off])
    arguments = dict(package.cmake_args())
    assert arguments["CARAVAN_WITHOUT"] == Caravan.optional_things.get(off, []), (off, arguments)
    assert arguments["CARAVAN_CUDA"] is False
for things in Caravan.optional_things.values():
    for thing in things:
        assert rows[thing][1] == "optional", f"CARAVAN_WITHOUT would refuse {thing}"
for thing, fields in rows.items():
    if fields[1] in ("needed", "optional") and thing not in ("C++20", "OpenMP"):
        name = {"openmpi": "mpi", "pkgconf": "pkgconfig"}.get(fields[7], fields[7])
        assert name in declared, f"the recipe does not depend on {name}, which the table calls {thing} in Spack"
print(f"{len(variants)} variants, {len(declared)} dependencies")
