#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "caravan/check.hpp"
#include "caravan/config.hpp"
#include "core/base/config_scalar.hpp"

namespace caravan {
namespace {

bool plain_begin(std::string_view text) {
  const auto plain = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '/';
  };
  if (plain(text[0])) return true;
  return (text[0] == '-' || text[0] == '.') && text.size() > 1 && (plain(text[1]) || text[1] == '.') &&
         text != "...";
}

/// Quoting more than YAML asks is harmless, quoting less is not: only what is surely plain stays plain.
bool is_plain(std::string_view text) {
  if (is_null_word(text) || !plain_begin(text)) return false;
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_/.+-";
  return text.find_first_not_of(kPlain) == std::string_view::npos;
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string key_text(const std::string& key) {
  return is_plain(key) ? key : in_quotes(key);
}

/// A scalar, "null", "[]" or "{}": what stands behind the key on its line.
bool fits_line(const Config& node) {
  return node.entries().empty() && node.items().empty();
}

std::string line_text(const Config& node) {
  switch (node.kind()) {
    case Config::Kind::null:
      return "null";
    case Config::Kind::list:
      return "[]";
    case Config::Kind::map:
      return "{}";
    case Config::Kind::scalar:
      break;
  }
  CARAVAN_CHECK(is_utf8(node.text()), ConfigError,
                fmt::format("{}: {} cannot be written (its text is not UTF-8)", node.where(), node.path()));
  return !node.is_quoted() && is_plain(node.text()) ? node.text() : in_quotes(node.text());
}

bool all_fit_line(const Config& list) {
  return std::all_of(list.items().begin(), list.items().end(), fits_line);
}

std::string flow_list(const Config& list) {
  std::string out = "[";
  for (const Config& item : list.items()) out += (out.size() > 1 ? ", " : "") + line_text(item);
  return out + "]";
}

void write_block(const Config& node, const std::string& indent, std::string& out);

void write_child(const Config& node, const std::string& indent, std::string& out) {
  if (fits_line(node)) {
    out += " " + line_text(node) + "\n";
  } else if (node.kind() == Config::Kind::list && all_fit_line(node)) {
    out += " " + flow_list(node) + "\n";
  } else {
    out += "\n";
    write_block(node, indent + "  ", out);
  }
}

void write_block(const Config& node, const std::string& indent, std::string& out) {
  for (const auto& [key, value] : node.entries()) {
    out += indent + key_text(key) + ":";
    write_child(value, indent, out);
  }
  for (const Config& item : node.items()) {
    out += indent + "-";
    write_child(item, indent, out);
  }
}

nlohmann::ordered_json to_value(const Config& node) {
  nlohmann::ordered_json out;
  if (node.kind() == Config::Kind::map) out = nlohmann::ordered_json::object();
  if (node.kind() == Config::Kind::list) out = nlohmann::ordered_json::array();
  for (const auto& [key, value] : node.entries()) out[key] = to_value(value);
  for (const Config& item : node.items()) out.push_back(to_value(item));
  if (node.kind() != Config::Kind::scalar) return out;
  if (node.is_quoted()) return node.text();
  if (const auto truth = parse_bool(node.text())) return *truth;
  if (const auto integer = parse_int(node.text())) return *integer;
  if (const auto number = parse_float(node.text())) return *number;
  return node.text();
}

}  // namespace

std::string Config::to_yaml() const {
  if (fits_line(*this)) return line_text(*this) + "\n";
  std::string out;
  write_block(*this, "", out);
  return out;
}

std::string Config::to_json() const {
  try {
    return to_value(*this).dump(2);
  } catch (const nlohmann::json::exception& error) {
    throw ConfigError(fmt::format("{}: {} cannot be written as JSON ({})", where(), path(), error.what()));
  }
}

}  // namespace caravan
