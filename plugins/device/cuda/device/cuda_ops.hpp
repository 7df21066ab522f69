#pragma once

#include <string_view>

#include "caravan/ops.hpp"
#include "plugins/device/cuda/device/context.hpp"

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

  bool serves(const DecodeExperts& args) const override;
  using Ops::path_of;
  OperatorPath path_of(const LinearForward& args) const override;
  OperatorPath path_of(const LinearBackwardInput& args) const override;
  OperatorPath path_of(const LinearBackwardWeight& args) const override;
  OperatorPath path_of(const GroupedLinearForward& args) const override;
  OperatorPath path_of(const GroupedLinearBackwardInput& args) const override;
  OperatorPath path_of(const GroupedLinearBackwardWeight& args) const override;
  OperatorPath path_of(const AttentionForward& args) const override;
  OperatorPath path_of(const AttentionBackward& args) const override;
  OperatorPath path_of(const LargestLogits&) const override {
    return {"own kernel", "products in fp32 without tensor cores", OperatorPath::Pace::plain};
  }
  OperatorPath path_of(const GateUpForward& args) const override;
  OperatorPath path_of(const DownBackwardInput& args) const override;
  OperatorPath path_of(const LinearCrossEntropy& args) const override;
  OperatorPath path_of(const VocabularyStatistics& args) const override;
  OperatorPath path_of(const VocabularyGradient& args) const override;

 private:
  Context& context_;
};

}  // namespace caravan::cuda
