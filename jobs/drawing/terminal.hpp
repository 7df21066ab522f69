#pragma once

namespace caravan::jobs {

enum class Ink { plain, colour };

/// How wide a text may be, and whether in colour.
struct TextStyle {
  int columns = 120;
  Ink ink = Ink::plain;
};
/// Of standard output: the terminal's width and colours (unless NO_COLOR is set); 160 plain columns when it
/// is no terminal.
TextStyle style_of_standard_output();

/// Lines that the terminal of standard output shows at once; 0 when it is no terminal.
int terminal_rows();

/// Whether the locale that the user has chosen writes characters as UTF-8.
bool locale_is_utf8();

}  // namespace caravan::jobs
