#pragma once

// How much of the processor's vectors a measurement may use: what the host device of this process uses.
namespace caravan::jobs {

enum class VectorLevel { sse, avx2, avx512 };

/// The widest that the processor has, that CARAVAN_PROCESSOR allows and that the host device was built for
/// (CARAVAN_HOST_ARCHS). PluginError as `usable_processor_levels`.
VectorLevel vector_level();

}  // namespace caravan::jobs

// A function with one of these in front uses instructions that the rest of the program must not.
#if defined(__x86_64__)
#define CARAVAN_FOR_AVX2 __attribute__((target("avx2,fma")))
#define CARAVAN_FOR_AVX512 __attribute__((target("avx512f")))
#else
#define CARAVAN_FOR_AVX2
#define CARAVAN_FOR_AVX512
#endif
