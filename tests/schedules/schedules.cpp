#include "tests/schedules/schedules.hpp"
#include "tests/support/plugin_dir.hpp"

namespace caravan::testing {

Made<Schedule> schedule(const std::string& name, const std::string& file) {
  static Registry registry({test::plugin_dir()});
  Config config = Config::map();
  if (!file.empty()) config.set("file", file);
  return registry.create<Schedule>(name, Host{}, config);
}

Plan plan_of(const std::string& name, const PlanRequest& request) {
  return schedule(name)->build(request);
}

std::string text_of(const std::vector<Step>& row) {
  std::string text;
  for (const Step& step : row) text += (text.empty() ? "" : ",") + to_string(step);
  return text;
}

const std::vector<std::string>& schedule_names() {
  static const std::vector<std::string> names = {
      "gpipe", "1f1b",  "interleaved_1f1b", "looped_bfs", "interleaved_zero_bubble", "zbv", "dualpipev",
      "zb_h1", "zb_h2", "v_half",           "v_min"};
  return names;
}

}  // namespace caravan::testing
