#include "core/base/config_reader.hpp"

#include <fmt/format.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <sstream>

#include "caravan/check.hpp"
#include "caravan/open_file.hpp"
#include "core/base/config_scalar.hpp"

namespace caravan {
namespace {

constexpr std::size_t kMostBytes = 1 << 20;
constexpr std::size_t kMostLevels = 64;
constexpr int kMostNodes = 50'000;
constexpr std::size_t kMostKeys = 4096;  // of one map: looking a key up is linear, and merging maps quadratic
constexpr std::size_t kLongestPath = 1024;  // every node keeps its path: bounds the memory of a hostile file

// yaml-cpp counts from 0.
int line_of(const YAML::Mark& mark) {
  return mark.line + 1;
}

[[noreturn]] void refuse_text(const std::string& file, int line, const std::string& problem) {
  throw ConfigError(line > 0 ? fmt::format("{}:{}: {}", file, line, problem)
                             : fmt::format("{}: {}", file, problem));
}

/// Hears nothing.
class Deaf final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
  }
  void OnMapEnd() override {}
};

/// yaml-cpp takes the end of the text for a closing quote, but not the end of a document.
bool ends_inside_quotes(std::string_view yaml) {
  try {
    std::istringstream stream{std::string(yaml) + "\n...\n"};
    Deaf deaf;
    YAML::Parser(stream).HandleNextDocument(deaf);
    return false;
  } catch (const YAML::Exception& error) {
    return error.msg == YAML::ErrorMsg::DOC_IN_SCALAR;
  }
}

}  // namespace

void ConfigReader::refuse(const YamlProblem& problem) const {
  refuse(problem.line, problem.text);
}

void ConfigReader::refuse(int line, const std::string& problem) const {
  refuse_text(file_, line, problem);
}

bool ConfigReader::wants_key() const {
  return !levels_.empty() && levels_.back().node.kind() == Config::Kind::map && !levels_.back().has_key;
}

void ConfigReader::check_plain(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
  if (anchor != YAML::NullAnchor)
    refuse(line_of(mark), "anchors (&name) are not allowed. Write the value out?");
  const bool untagged = tag.empty() || tag == "?" || tag == "!";
  if (!untagged) refuse(line_of(mark), fmt::format("tags ({}) are not allowed. Leave it away?", shown(tag)));
}

void ConfigReader::OnAlias(const YAML::Mark& mark, YAML::anchor_t) {
  refuse(line_of(mark), "aliases (*name) are not allowed. Write the value out?");
}

void ConfigReader::OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) {
  check_plain(mark, "", anchor);
  if (wants_key()) refuse(line_of(mark), "a key is empty or null (keys are words)");
  check_colon();
  attach(placed(line_of(mark), Config()));
}

void ConfigReader::OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                            const std::string& value) {
  check_plain(mark, tag, anchor);
  if (wants_key()) return take_key(line_of(mark), value);
  Config node = Config::scalar(value);
  node.quoted_ = tag == "!";
  attach(placed(line_of(mark), std::move(node)));
}

void ConfigReader::OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                                   YAML::EmitterStyle::value) {
  check_plain(mark, tag, anchor);
  open(line_of(mark), Config::list());
}

void ConfigReader::OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                              YAML::EmitterStyle::value) {
  check_plain(mark, tag, anchor);
  open(line_of(mark), Config::map());
}

/// yaml-cpp takes a last line that is no 'key: value' for a key without a value.
void ConfigReader::check_colon() const {
  if (levels_.empty() || !levels_.back().has_key || !lacks_colon(scan_, levels_.back().key_line)) return;
  refuse(levels_.back().key_line,
         fmt::format("{} lacks a colon. Write 'key: value'?", shown(levels_.back().key)));
}

void ConfigReader::take_key(int line, const std::string& key) {
  Level& level = levels_.back();
  if (!level.keys.insert(key).second) {
    const std::string first = level.node.find(key).where();
    refuse(line, fmt::format("the key {} stands twice in {} (first at {}). Remove one?", shown(key),
                             level.node.path().empty() ? "the top level" : level.node.path(), first));
  }
  if (level.keys.size() > kMostKeys) refuse(line, fmt::format("more than {} keys in a map", kMostKeys));
  level.key = key;
  level.key_line = line;
  level.has_key = true;
  if (next_path().size() > kLongestPath)
    refuse(line, fmt::format("the path to the key {} is too long", shown(key)));
}

void ConfigReader::open(int line, Config node) {
  // yaml-cpp takes a bracket that is never closed for the beginning of a key.
  if (wants_key()) refuse(explain(scan_, {line, 0, "a key is a list or a map (keys are words)"}));
  if (levels_.size() >= kMostLevels) refuse(line, fmt::format("more than {} levels of nesting", kMostLevels));
  Level level;
  level.node = placed(line, std::move(node));
  levels_.push_back(std::move(level));
}

void ConfigReader::close() {
  Config done = std::move(levels_.back().node);
  levels_.pop_back();
  attach(std::move(done));
}

void ConfigReader::attach(Config node) {
  if (levels_.empty()) {
    root_ = std::move(node);
    return;
  }
  Level& parent = levels_.back();
  if (parent.node.kind_ == Config::Kind::list) {
    parent.node.items_.push_back(std::move(node));
    return;
  }
  parent.node.entries_.emplace_back(std::move(parent.key), std::move(node));
  parent.has_key = false;
}

Config ConfigReader::placed(int line, Config node) {
  if (++num_nodes_ > kMostNodes) refuse(line, fmt::format("more than {} values", kMostNodes));
  node.file_ = file_;
  // A map begins on the line below its key; people look for the key.
  const bool has_key = !levels_.empty() && levels_.back().has_key;
  node.line_ = has_key ? levels_.back().key_line : line;
  node.path_ = next_path();
  return node;
}

std::string ConfigReader::next_path() const {
  if (levels_.empty()) return "";
  const Level& parent = levels_.back();
  if (!parent.has_key) return fmt::format("{}[{}]", parent.node.path(), parent.node.items().size());
  return parent.node.path().empty() ? parent.key : fmt::format("{}.{}", parent.node.path(), parent.key);
}

Config Config::parse(std::string_view yaml, std::string file) {
  if (yaml.size() > kMostBytes)
    refuse_text(file, 0, fmt::format("{} bytes (at most {})", yaml.size(), kMostBytes));
  if (yaml.find('\0') != std::string_view::npos || !is_utf8(yaml))
    refuse_text(file, 0, "the text is not UTF-8");
  const YamlScan scan(yaml);
  ConfigReader reader(file, scan);
  try {
    std::istringstream stream{std::string(yaml)};
    YAML::Parser parser(stream);
    parser.HandleNextDocument(reader);
    // One look at what is left; a second HandleNextDocument can loop for ever on ", " in yaml-cpp 0.7.
    if (parser) reader.refuse(explain_rest(scan));
  } catch (const YAML::Exception& error) {
    const YamlStop stop = error.mark.is_null()
                              ? YamlStop{0, 0, error.msg}
                              : YamlStop{line_of(error.mark), error.mark.column + 1, error.msg};
    reader.refuse(explain(scan, stop));
  }
  if (scan.quote && ends_inside_quotes(yaml)) reader.refuse(*unclosed_quote(scan));
  Config root = std::move(reader).take();
  if (root.file_.empty()) root.file_ = std::move(file);
  return root;
}

Config Config::load(const std::string& path) {
  std::string text;
  try {
    text = read_file(path, kMostBytes);
  } catch (const IoError& error) {
    throw ConfigError(error.message() + ". Is the path right?");
  }
  return parse(text, path);
}

}  // namespace caravan
