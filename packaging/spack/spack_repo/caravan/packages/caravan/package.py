"""Recipe for Spack 1.0 and newer; packaging/README.md says how to use it."""

from pathlib import Path

from spack_repo.builtin.build_systems.cmake import CMakePackage
from spack_repo.builtin.build_systems.cuda import CudaPackage

from spack.package import *


class Caravan(CMakePackage, CudaPackage):
    """Pre-trains, evaluates and decodes Llama 4 mixture-of-experts transformers on MPI ranks, with plugins."""

    # The recipe lies in the repository that it builds.
    git = Path(__file__).resolve().parents[6].as_uri()
    homepage = git

    maintainers()
    license("Apache-2.0", checked_by="caravan")

    version("main", branch="main")

    variant("host", default=True, description="Fast processor device (Kokkos, Eigen)")
    variant(
        "host_archs",
        default="x86-64-v3,x86-64-v4",
        values=("native", "x86-64-v2", "x86-64-v3", "x86-64-v4"),
        multi=True,
        when="+host target=x86_64:",
        description="Processors that the host device is built for; the widest that a machine has is taken",
    )
    variant("tokenizers", default=True, description="Tokenizers and texts in JSON (PCRE2, simdjson)")
    variant("sentencepiece", default=False, description="SentencePiece tokenizers")
    variant("seccomp", default=True, description="Reads HDF5 files of others, in a restricted process")
    variant("zstd", default=True, description="Texts in zstd")
    variant("xxhash", default=True, description="Digests at the speed of memory")
    variant("nccl", default=True, when="+cuda", description="Tensors between GPUs by NCCL")

    depends_on("c", type="build")
    depends_on("cxx", type="build")
    depends_on("cmake@3.22:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("git", type="build")

    depends_on("mpi")
    depends_on("hdf5@1.10:")  # serial or parallel
    depends_on("yaml-cpp@0.7:")
    depends_on("fmt@9:")
    depends_on("nlohmann-json@3.11:")
    depends_on("cli11@2.1:")
    depends_on("openssl@3:")
    depends_on("zlib-api")
    with when("+host"):
        depends_on("kokkos@3.4:3+serial")
        depends_on("eigen@3.4:3")
    with when("+tokenizers"):
        depends_on("pcre2")
        depends_on("simdjson")
    depends_on("sentencepiece", when="+sentencepiece")
    depends_on("libseccomp", when="+seccomp")
    depends_on("zstd", when="+zstd")
    depends_on("xxhash", when="+xxhash")
    with when("+cuda"):
        depends_on("cuda@12.8:")
        depends_on("cudnn@9:")
    depends_on("nccl", when="+nccl")
    depends_on("googletest+gmock", type="test")

    requires("%gcc@11:", "%clang@15:", policy="one_of")
    conflicts("cuda_arch=none", when="+cuda", msg="The cuda device is for Hopper: cuda_arch=90")
    for arch in CudaPackage.cuda_arch_values:
        if arch not in ("90", "90a"):
            conflicts(f"cuda_arch={arch}", msg="The cuda device is for Hopper: cuda_arch=90")

    generator("ninja")

    # Rows of cmake/CaravanRequirements.cmake: what a variant does without is not looked for, whatever the machine has.
    optional_things = {
        "host": ["Kokkos", "Eigen"],
        "tokenizers": ["PCRE2", "simdjson"],
        "sentencepiece": ["SentencePiece"],
        "seccomp": ["libseccomp"],
        "zstd": ["libzstd"],
        "xxhash": ["xxhash"],
    }

    def setup_build_environment(self, env):
        if self.spec.satisfies("+cuda"):
            env.set("CUDNN_HOME", self.spec["cudnn"].prefix)
        if self.spec.satisfies("+nccl"):
            env.set("NCCL_HOME", self.spec["nccl"].prefix)

    def cmake_args(self):
        without = [
            thing
            for variant_name, things in self.optional_things.items()
            if not self.spec.satisfies(f"+{variant_name}")
            for thing in things
        ]
        args = [
            self.define("CARAVAN_WITHOUT", without),
            self.define("CARAVAN_BUILD_TESTS", self.run_tests),
            self.define_from_variant("CARAVAN_CUDA", "cuda"),
        ]
        if "host_archs" in self.spec.variants:
            args.append(self.define("CARAVAN_HOST_ARCHS", list(self.spec.variants["host_archs"].value)))
        if self.spec.satisfies("+cuda"):
            args.append(self.define("CMAKE_CUDA_ARCHITECTURES", "90a-real"))
        return args

    def test_version(self):
        """the executable starts, and lists its devices"""
        caravan = which(self.prefix.bin.caravan)
        out = caravan("--version", output=str.split, error=str.split)
        for expected in ("caravan ", "devices ", "reference"):
            assert expected in out, f"caravan --version lacks {expected!r}: {out}"
