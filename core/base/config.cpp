#include "caravan/config.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "caravan/check.hpp"
#include "core/base/config_scalar.hpp"

namespace caravan {
namespace {

const Config kNothing;

const char* kind_name(Config::Kind kind) {
  switch (kind) {
    case Config::Kind::null:
      return "empty";
    case Config::Kind::scalar:
      return "a single value";
    case Config::Kind::list:
      return "a list";
    case Config::Kind::map:
      return "a map";
  }
  return "unknown";
}

std::string place(const Config& node) {
  return fmt::format("{}: {}", node.where(), node.path().empty() ? "top level" : node.path());
}

[[noreturn]] void refuse_kind(const Config& node, std::string_view wanted) {
  throw ConfigError(fmt::format("{} is {} (must be {})", place(node), kind_name(node.kind()), wanted));
}

[[noreturn]] void refuse_value(const Config& node, std::string_view wanted) {
  const char* quoted = node.is_quoted() ? ", and text in quotes is a string" : "";
  throw ConfigError(fmt::format("{}={} (must be {}{})", place(node), shown(node.text()), wanted, quoted));
}

template <class Read>
auto read_list(const Config& node, std::string_view wanted, Read read) {
  if (node.kind() != Config::Kind::list) refuse_kind(node, wanted);
  std::vector<std::decay_t<decltype(read(node))>> out;
  out.reserve(node.items().size());
  for (const Config& item : node.items()) out.push_back(read(item));
  return out;
}

std::string child_path(const std::string& parent, std::string_view key) {
  return parent.empty() ? std::string(key) : fmt::format("{}.{}", parent, key);
}

/// Quotes change what such a text is.
bool looks_typed(std::string_view text) {
  return parse_float(text) || parse_bool(text);
}

}  // namespace

Config Config::scalar(std::string text) {
  Config made(Kind::scalar);
  made.text_ = std::move(text);
  return made;
}

std::string Config::where() const {
  if (file_.empty()) return "built in";
  return line_ > 0 ? fmt::format("{}:{}", file_, line_) : file_;
}

const std::string& Config::text() const {
  if (kind_ != Kind::scalar) refuse_kind(*this, "a single value");
  return text_;
}

bool Config::has(std::string_view key) const noexcept {
  return &find(key) != &kNothing;
}

const Config& Config::find(std::string_view key) const noexcept {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const auto& entry) { return entry.first == key; });
  return found == entries_.end() ? kNothing : found->second;
}

const Config& Config::at(std::string_view key) const {
  if (kind_ != Kind::map && kind_ != Kind::null)
    refuse_kind(*this, fmt::format("a map with the key {}", shown(key)));
  const Config& found = find(key);
  if (&found != &kNothing) return found;
  std::vector<std::string> known;
  for (const auto& entry : entries_) known.push_back(entry.first);
  const std::string near = nearest_name(key, known);
  throw ConfigError(fmt::format("{} lacks the key {}{}", place(*this), shown(key),
                                near.empty() ? "" : fmt::format(". Did you mean '{}'?", near)));
}

std::int64_t Config::as_int() const {
  constexpr const char* kWanted = "an integer such as 12";
  if (kind_ != Kind::scalar) refuse_kind(*this, kWanted);
  const auto value = parse_int(text_);
  if (quoted_ || !value)
    refuse_value(*this, fmt::format("{}: plain decimal digits, within 64 bits", kWanted));
  return *value;
}

double Config::as_float() const {
  constexpr const char* kWanted = "a number such as 0.5 or 3e-4";
  if (kind_ != Kind::scalar) refuse_kind(*this, kWanted);
  const auto value = parse_float(text_);
  if (quoted_ || !value) refuse_value(*this, kWanted);
  return *value;
}

bool Config::as_bool() const {
  constexpr const char* kWanted = "true or false";
  if (kind_ != Kind::scalar) refuse_kind(*this, kWanted);
  const auto value = parse_bool(text_);
  if (quoted_ || !value) refuse_value(*this, kWanted);
  return *value;
}

std::vector<std::int64_t> Config::as_int_list() const {
  return read_list(*this, "a list of integers such as [1, 2]",
                   [](const Config& item) { return item.as_int(); });
}

std::vector<double> Config::as_float_list() const {
  return read_list(*this, "a list of numbers such as [0.5, 1]",
                   [](const Config& item) { return item.as_float(); });
}

std::vector<std::string> Config::as_string_list() const {
  return read_list(*this, "a list of texts such as [a, b]",
                   [](const Config& item) { return item.as_string(); });
}

void Config::set_path(const std::string& path) {
  path_ = path;
  for (auto& [key, value] : entries_) value.set_path(child_path(path, key));
  for (std::size_t i = 0; i < items_.size(); ++i) items_[i].set_path(fmt::format("{}[{}]", path, i));
}

void Config::set(std::string_view key, Config value) {
  if (kind_ != Kind::map && kind_ != Kind::null)
    refuse_kind(*this, fmt::format("a map to hold the key {}", shown(key)));
  kind_ = Kind::map;
  if (value.file_.empty()) {
    value.file_ = file_;
    value.line_ = line_;
  }
  value.set_path(child_path(path_, key));
  const auto same = [&](const auto& entry) { return entry.first == key; };
  const auto found = std::find_if(entries_.begin(), entries_.end(), same);
  if (found == entries_.end()) {
    entries_.emplace_back(key, std::move(value));
  } else {
    found->second = std::move(value);
  }
}

void Config::append(Config value) {
  if (kind_ != Kind::list && kind_ != Kind::null) refuse_kind(*this, "a list");
  kind_ = Kind::list;
  if (value.file_.empty()) {
    value.file_ = file_;
    value.line_ = line_;
  }
  value.set_path(fmt::format("{}[{}]", path_, items_.size()));
  items_.push_back(std::move(value));
}

void Config::erase(std::string_view key) {
  std::erase_if(entries_, [&](const auto& entry) { return entry.first == key; });
}

Config Config::emptied() const {
  Config out(Kind::map);
  out.file_ = file_;
  out.line_ = line_;
  out.path_ = path_;
  return out;
}

void Config::merge(const Config& over) {
  if (over.kind_ == Kind::null) return;
  if (over.kind_ != Kind::map || (kind_ != Kind::map && kind_ != Kind::null)) {
    throw ConfigError(fmt::format("{} is {} and {} is {} (only maps can be merged)", place(*this),
                                  kind_name(kind_), place(over), kind_name(over.kind_)));
  }
  for (const auto& [key, value] : over.entries_) {
    const Config& mine = find(key);
    if (value.kind_ != Kind::map || mine.kind_ != Kind::map) {
      set(key, value);
      continue;
    }
    Config merged = mine;
    merged.merge(value);
    set(key, std::move(merged));
  }
}

bool Config::operator==(const Config& other) const {
  const bool same_text = text_ == other.text_ && (quoted_ == other.quoted_ || !looks_typed(text_));
  return kind_ == other.kind_ && same_text && entries_ == other.entries_ && items_ == other.items_;
}

}  // namespace caravan
