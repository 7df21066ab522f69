#pragma once

#include <string_view>

#include "caravan/ops.hpp"
#include "context.hpp"

namespace caravan::cuda {

/// The operators on a GPU, each in f32 and bf16 and defined in the file of its family. A call checks its
/// views, launches on the compute lane's stream and returns; it neither waits nor reads device memory.
class CudaOps final : public Ops {
 public:
  explicit CudaOps(Context& context) : context_(context) {}
  std::string_view device_name() const override { return "cuda"; }

#define CARAVAN_OVERRIDE_OP(name, Args) void name(const Args& args) override;
  CARAVAN_FOR_EACH_OP(CARAVAN_OVERRIDE_OP)
#undef CARAVAN_OVERRIDE_OP

 private:
  Context& context_;
};

}  // namespace caravan::cuda
