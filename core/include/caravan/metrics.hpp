#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace caravan {

/// What one step (or validation) measured: keys with units in their names, in the order in which they are written.
/// A list stands for a tensor of numbers, such as tokens per expert.
struct MetricRecord {
  using Value = std::variant<std::int64_t, double, std::string, std::vector<double>>;
  std::int64_t step = 0;
  std::vector<std::pair<std::string, Value>> values;
  void add(std::string key, Value value) { values.emplace_back(std::move(key), std::move(value)); }
};

/// Where records go. A sink that cannot write warns once and lets training go on. [host thread]
class MetricSink {
 public:
  virtual ~MetricSink() = default;
  virtual void write(const MetricRecord& record) = 0;
};

}  // namespace caravan
