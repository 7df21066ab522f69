#include "io/data/text_inputs.hpp"

#include <fmt/format.h>

#include <utility>

#include "caravan/log.hpp"
#include "io/data/input_list.hpp"

namespace caravan::io {
namespace {

void say(const TextRepairs& repairs) {
  if (repairs.byte_order_marks > 0)
    log_info(fmt::format("{} files begin with a byte order mark (it is left out)", repairs.byte_order_marks));
  if (repairs.surrogates > 0)
    log_warning(
        fmt::format("{} halves of UTF-16 surrogate pairs are no characters (each is read as U+FFFD); the "
                    "first in {}",
                    repairs.surrogates, repairs.first_surrogate));
}

}  // namespace

TextInputs::TextInputs(const std::vector<std::string>& inputs, DocumentFormat format)
    : format_(std::move(format)) {
  InputList list = expand_inputs(inputs);
  for (const std::string& note : list.notes) log_info(note);
  for (const std::string& warning : list.warnings) log_warning(warning);
  files_ = std::move(list.files);
}

void TextInputs::for_each(const std::function<void(std::string_view)>& take) const {
  TextRepairs repairs;
  for (const std::string& file : files_) for_each_document(file, format_, repairs, take);
  say(repairs);
}

}  // namespace caravan::io
