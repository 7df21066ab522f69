#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace caravan {

/// A node of a configuration tree: null, scalar, list or map. Knows the file, line and path it came from, so
/// that every message can say where. A value type; copies share nothing that is mutable.
///
/// Reading outside input: `parse` and `load` refuse files above 1 MB, text that is not UTF-8, anchors,
/// aliases, tags, several documents, duplicate keys, more than 64 levels and more than 50,000 nodes. Scalars
/// stay text until a typed reader asks: integers are plain decimal (no 010, 0x10, 1_000), booleans are true
/// and false (no yes, on).
class Config {
 public:
  enum class Kind { null, scalar, list, map };

  Config() = default;
  static Config map() { return Config(Kind::map); }
  static Config list() { return Config(Kind::list); }
  static Config scalar(std::string text);
  static Config parse(std::string_view yaml, std::string file = "<text>");
  static Config load(const std::string& path);

  Kind kind() const noexcept { return kind_; }
  bool is_null() const noexcept { return kind_ == Kind::null; }
  /// Of a scalar: it stood in quotes, so it is a string whatever it looks like.
  bool is_quoted() const noexcept { return quoted_; }
  /// "job.yaml:12" or "command line".
  std::string where() const;
  /// "train.optimizer.lr"
  const std::string& path() const noexcept { return path_; }
  const std::string& text() const;  ///< of a scalar; ConfigError otherwise

  bool has(std::string_view key) const noexcept;
  const Config& at(std::string_view key) const;             ///< ConfigError when absent
  const Config& find(std::string_view key) const noexcept;  ///< the null node when absent
  const std::vector<std::pair<std::string, Config>>& entries() const noexcept { return entries_; }
  const std::vector<Config>& items() const noexcept { return items_; }

  /// Typed readers; ConfigError with file, line, path and what would be right. `as_bool` takes true and false
  /// only.
  std::int64_t as_int() const;
  double as_float() const;
  bool as_bool() const;
  const std::string& as_string() const { return text(); }
  std::vector<std::int64_t> as_int_list() const;
  std::vector<double> as_float_list() const;
  std::vector<std::string> as_string_list() const;

  std::int64_t get_int(std::string_view key) const { return at(key).as_int(); }
  double get_float(std::string_view key) const { return at(key).as_float(); }
  bool get_bool(std::string_view key) const { return at(key).as_bool(); }
  const std::string& get_string(std::string_view key) const { return at(key).as_string(); }

  /// Sets or replaces a child; the child's path and, when it has none, place become this node's.
  void set(std::string_view key, Config value);
  void set(std::string_view key, std::string_view text) { set(key, scalar(std::string(text))); }
  void append(Config value);
  void erase(std::string_view key);
  /// An empty map with this node's place and path.
  Config emptied() const;
  /// "train.lr=3e-4": sets a nested key, making maps on the way; the value is parsed as YAML.
  void override_with(std::string_view assignment);
  /// Deep merge: keys of `over` win; lists and scalars are replaced whole.
  void merge(const Config& over);

  /// Block-style YAML that `parse` reads back equal. ConfigError when a text is not UTF-8.
  std::string to_yaml() const;
  /// Indented by two; unquoted scalars become numbers and booleans where they read as such.
  std::string to_json() const;

  /// Same kinds, keys, order and texts; where they came from does not count.
  bool operator==(const Config& other) const;

 private:
  friend class ConfigReader;
  explicit Config(Kind kind) : kind_(kind) {}
  void set_path(const std::string& path);
  void set_line(int line);
  void set_nested(const std::vector<std::string>& keys, std::size_t depth, Config value);

  Kind kind_ = Kind::null;
  std::string text_;
  bool quoted_ = false;  // "12" in quotes stays a string
  std::vector<std::pair<std::string, Config>> entries_;
  std::vector<Config> items_;
  std::string path_;
  std::string file_;
  int line_ = 0;
};

/// The nearest of `candidates` by edit distance, or "" when none is near (distance above a third of the
/// length, at least 2).
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace caravan
