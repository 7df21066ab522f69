#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "caravan/metrics.hpp"
#include "io/metrics/append_file.hpp"

namespace caravan::io {

/// An event file that TensorBoard reads: `<folder>/events.out.tfevents.<seconds>.<host>.<pid>`. A new file a
/// start; what older files hold from `first_step` on is declared void.
class TensorBoardSink final : public MetricSink {
 public:
  /// Makes `folder`. IoError when folder or file cannot be made.
  TensorBoardSink(const std::string& folder, std::int64_t first_step);
  void write(const StepRecord& record) override;
  bool takes_texts() const override { return true; }
  void write_text(const TextRecord& record) override;
  const std::string& path() const noexcept { return path_; }

 private:
  std::string path_;
  AppendFile file_;
};

}  // namespace caravan::io
