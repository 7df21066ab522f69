#pragma once

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/mark.h>

#include <string>
#include <unordered_set>
#include <vector>

#include "caravan/config.hpp"
#include "core/base/yaml_problem.hpp"

namespace caravan {

/// Builds a Config from the parser's events. Events and not YAML::Node, because nodes have lost what must be
/// refused: anchors, aliases, tags, duplicate keys. Keeps its own stack, so depth costs no call stack here.
class ConfigReader final : public YAML::EventHandler {
 public:
  /// Borrows what is known of the text.
  ConfigReader(std::string file, const YamlScan& scan) : file_(std::move(file)), scan_(scan) {}
  Config take() && { return std::move(root_); }
  [[noreturn]] void refuse(int line, const std::string& problem) const;
  [[noreturn]] void refuse(const YamlProblem& problem) const;

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override;
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override;
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override;
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override;
  void OnMapEnd() override { close(); }

 private:
  struct Level {
    Config node;
    std::string key;  // waits for its value
    int key_line = 0;
    bool has_key = false;
    std::unordered_set<std::string> keys;
  };

  bool wants_key() const;
  void check_plain(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const;
  void check_colon() const;
  void take_key(int line, const std::string& key);
  void open(int line, Config node);
  void close();
  void attach(Config node);
  Config placed(int line, Config node);
  std::string next_path() const;

  std::string file_;
  const YamlScan& scan_;
  Config root_;
  std::vector<Level> levels_;
  int num_nodes_ = 0;
};

}  // namespace caravan
