#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace caravan {

/// What a look at the brackets, quotes and indentation of a YAML text finds. It knows less than a parser, but
/// remembers where things were opened. Borrows the text.
struct YamlScan {
  /// A bracket or quote, and where it stands; lines count from 1.
  struct Mark {
    char character;
    int line;
  };
  /// A bracket that closes nothing, or another kind.
  struct Stray {
    Mark closing;
    std::optional<Mark> opening;
  };
  struct Line {
    std::string_view text;  ///< without its comment and the space before it
    int indent = 0;         ///< columns of white space before it
    bool has_tab = false;   ///< among them
    bool is_block = false;  ///< it begins outside of brackets, quotes and block scalars
    bool is_blank() const { return static_cast<std::size_t>(indent) == text.size(); }
  };

  explicit YamlScan(std::string_view yaml);

  std::vector<Line> lines;
  std::vector<Mark> brackets;  ///< that are never closed
  std::optional<Mark> quote;   ///< that is never closed
  std::optional<Stray> stray;  ///< the first

 private:
  void read_line(std::string_view raw, int number);
  std::size_t read_character(std::string_view raw, std::size_t at, int number);
  std::size_t read_quoted(std::string_view raw, std::size_t at);
  void open(char character, int number);
  void close(char character, int number);
  bool begins_block_scalar(std::string_view rest) const;

  bool at_value_ = true;       // a quote, bracket or block scalar may begin here
  bool behind_value_ = false;  // a quote or bracket has just been closed
  int block_scalar_ = -1;      // indentation of the line that began one
};

}  // namespace caravan
