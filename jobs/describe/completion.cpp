#include "jobs/describe/completion.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "jobs/describe/inner_verbs.hpp"

namespace caravan::jobs {
namespace {

/// Names of options and subcommands are letters, digits, '-' and '_': nothing that a shell would expand.
std::string long_names(const CLI::Option& option) {
  std::string names;
  for (const std::string& name : option.get_lnames()) names += " --" + name;
  return names;
}

/// "hf hdf5" of an option that takes one of these words; empty for others.
std::string words_of(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const std::size_t open = type.find(":{"), close = type.find('}');
  if (open == std::string::npos || close == std::string::npos || close < open) return "";
  std::string words = type.substr(open + 2, close - open - 2);
  std::ranges::replace(words, ',', ' ');
  const bool is_plain = std::ranges::all_of(words, [](unsigned char c) {
    return std::isalnum(c) || c == ' ' || c == '-' || c == '_' || c == '.' || c == '=';
  });
  return is_plain ? words : "";
}

struct Tables {
  std::string known;    ///< a pattern of every chain of subcommands
  std::string offered;  ///< case branches: what may follow a chain
  std::string words;    ///< case branches: what may follow an option
};

void add(const CLI::App& app, const std::string& chain, Tables& tables) {
  std::string inner, options;
  for (const CLI::App* verb : verbs_of(app)) {
    const std::string next = chain + " " + verb->get_name();
    inner += " " + verb->get_name();
    tables.known += fmt::format("{}'{}'", tables.known.empty() ? "" : " | ", next);
    add(*verb, next, tables);
  }
  for (const CLI::Option* option : app.get_options()) {
    options += long_names(*option);
    const std::string words = words_of(*option);
    if (words.empty()) continue;
    for (const std::string& name : option->get_lnames())
      tables.words += fmt::format("    '{} --{}') words='{}' ;;\n", chain, name, words);
  }
  tables.offered += fmt::format("    '{}') inner='{}' options='{}' ;;\n", chain, inner, options);
}

}  // namespace

std::string bash_completion(const CLI::App& app, const std::string& version) {
  Tables tables;
  add(app, "", tables);
  return fmt::format(R"(# Completion of caravan {} for bash, written by `caravan describe completion`.
_caravan() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}} chain= word inner= options= words=
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD - 1}}"; do
    case "$chain $word" in
      {}) chain="$chain $word" ;;
    esac
  done
  case "$chain $previous" in
{}  esac
  case "$chain" in
{}  esac
  if [ -z "$words" ]; then
    words=$inner
    case "$current" in -*) words=$options ;; esac
  fi
  local IFS=$' \n'
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o bashdefault -o default -F _caravan caravan
)",
                     version, tables.known, tables.words, tables.offered);
}

}  // namespace caravan::jobs
