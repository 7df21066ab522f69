#include "jobs/generate/chat_template.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "caravan/check.hpp"
#include "caravan/log.hpp"
#include "io/text/chat_template.hpp"
#include "io/text/load_tokenizer.hpp"

namespace caravan::jobs {
namespace {

namespace fs = std::filesystem;

/// The model's folder, and the one of its tokenizer: a file of another name has nothing beside it.
std::set<std::string> folders_of(const ModelSource& source, const std::string& tokenizer) {
  std::set<std::string> folders;
  const fs::path file = fs::absolute(io::tokenizer_file(tokenizer)).lexically_normal();
  if (file.stem() == "tokenizer") folders.insert(file.parent_path());
  for (const std::string& folder : {source.folder, source.checkpoint})
    if (!folder.empty()) folders.insert((fs::absolute(folder) / "").lexically_normal().parent_path());
  return folders;
}

}  // namespace

void check_chat_template(const ModelSource& source, const std::string& tokenizer, bool asked) {
  bool is_known = false;
  for (const std::string& folder : folders_of(source, tokenizer)) {
    for (const io::ChatTemplate& stored : io::stored_chat_templates(folder)) {
      const bool is_llama4 = io::is_llama4_chat_template(stored.text);
      is_known = is_known || is_llama4;
      CARAVAN_CHECK(is_llama4 || asked, ConfigError,
                    fmt::format("{} holds a chat template that is not Llama 4's (no other is known here, and "
                                "templates are not run). To use Llama 4's, --chat-template llama4?",
                                stored.file));
      if (!is_llama4)
        log_info(fmt::format("the chat template in {} is not used: Llama 4's is, as asked", stored.file));
    }
  }
  if (!is_known && !asked) log_info("no chat template is stored with the model: Llama 4's is used");
}

}  // namespace caravan::jobs
