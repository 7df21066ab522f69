#pragma once

#include <string_view>

#include "caravan/ops.hpp"

namespace caravan {

/// Every operator as plain loops with double accumulation, for f32 or bf16 tensors and i32 indices in host
/// memory. Stateless. DeviceError names operator and argument when a dtype or shape does not fit. A device in
/// host memory derives from it and overrides what it does faster.
class ReferenceOps : public Ops {
 public:
  std::string_view device_name() const override { return "reference"; }
  OperatorPath usual_path() const override {
    return {"plain loops", "double accumulation", OperatorPath::Pace::plain};
  }

  bool serves(const DecodeExperts&) const override { return true; }

#define CARAVAN_OVERRIDE_OP(name, Args) void name(const Args& args) override;
  CARAVAN_FOR_EACH_OP(CARAVAN_OVERRIDE_OP)
#undef CARAVAN_OVERRIDE_OP
};

}  // namespace caravan
