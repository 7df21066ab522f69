#include "jobs/state/stored_texts.hpp"

#include <fmt/format.h>

#include <string_view>
#include <variant>

#include "caravan/check.hpp"
#include "jobs/state/train_state.hpp"

namespace caravan::jobs {

std::string stored_text(const io::CheckpointReader& reader, const char* name) {
  if (!reader.has_attribute(name)) return "";
  const io::CheckpointValue value = reader.attribute(name);
  const auto* text = std::get_if<std::string>(&value);
  CARAVAN_CHECK(text, IoError, fmt::format("{} of {} is no text", name, reader.folder()));
  return *text;
}

std::vector<std::pair<std::string, io::CheckpointValue>> values_to_keep(const io::CheckpointReader& reader) {
  std::vector<std::pair<std::string, io::CheckpointValue>> values;
  for (const std::string& name : reader.attribute_names()) {
    if (name != Progress::kNextSample && name != Progress::kOwesValidation)
      values.emplace_back(name, reader.attribute(name));
  }
  return values;
}

}  // namespace caravan::jobs
