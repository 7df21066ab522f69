#include "jobs/inspect/readable.hpp"

#include <fmt/format.h>

namespace caravan::jobs {

ReadableTensors choose_readable(const NameFilter& filter, const std::vector<TensorEntry>& tensors) {
  ReadableTensors chosen;
  for (const TensorEntry* tensor : choose_of_model(filter, tensors))
    (tensor->element ? chosen.readable : chosen.skipped).push_back(tensor);
  return chosen;
}

std::string skipped_text(const ReadableTensors& chosen) {
  std::string text;
  for (const TensorEntry* tensor : chosen.skipped)
    text += fmt::format("skipped {} ({}): {}\n", printable(tensor->name), printable(tensor->type),
                        printable(tensor->unreadable));
  return text;
}

nlohmann::ordered_json skipped_json(const ReadableTensors& chosen) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const TensorEntry* tensor : chosen.skipped)
    list.push_back({{"name", tensor->name}, {"dtype", tensor->type}, {"why", tensor->unreadable}});
  return list;
}

}  // namespace caravan::jobs
