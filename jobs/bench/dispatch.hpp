#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "caravan/comm.hpp"
#include "caravan/config.hpp"

namespace caravan::jobs {

/// Rows on their way to experts and back, without the experts. All ranks are one expert group.
struct DispatchBenchmark {
  std::string device = "auto", precision = "auto";
  std::string dispatch = "auto";  ///< as model.dispatch, YAML
  std::int64_t experts = 16, top_k = 1;
  std::int64_t width = 1024, tokens = 2048;  ///< numbers of a row; tokens of a rank
  bool scores_on_output = false;
  std::int64_t repeats = 20;
};

/// How tokens choose their experts.
enum class RoutingKind {
  even,   ///< one expert after the other
  dealt,  ///< at random, all alike
  skewed  ///< at random, expert e with a weight of 1 / (e + 1)
};
const char* name_of(RoutingKind kind);

/// What one routing takes. Times are medians over repeats of the slowest rank's.
struct DispatchTiming {
  RoutingKind routing = RoutingKind::even;
  std::int64_t most_sent = 0;      ///< rows to other ranks, of the rank that sends most
  std::int64_t most_received = 0;  ///< rows, own ones included, of the rank that receives most
  double without_room = 0;         ///< rows that the dispatcher has no memory for: then none travelled
  double dispatch_s = 0, combine_s = 0, combine_gradient_s = 0, dispatch_gradient_s = 0;
  double sum_s() const { return dispatch_s + combine_s + combine_gradient_s + dispatch_gradient_s; }
};

struct DispatchTimings {
  std::string device, precision, dispatcher;
  std::int64_t row_bytes = 0;
  double link_bytes_per_s =
      0;  ///< sent by a rank in a plain exchange of the rows of even routing; 0: one rank
  std::vector<DispatchTiming> routings;
};

/// [collective over world] ConfigError where the ranks do not divide the experts.
DispatchTimings time_dispatch(const DispatchBenchmark& benchmark, Communicator& world);

}  // namespace caravan::jobs
