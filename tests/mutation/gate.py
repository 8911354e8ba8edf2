"""The gate: what of the cell's words becomes an object, a text or an output of the notebook."""

from __future__ import annotations

from tests.mutation.guard import Edit, Guard, condition_off

__all__ = ["GUARDS"]

_READER = "gate/reader.py"
_BUDGET = "gate/budget.py"
_ALLOWANCE = "gate/allowance.py"
_ATTRIBUTES = "gate/attributes.py"
_HTML = "gate/html.py"
_BUDGETED = "tests/unit/gate/test_budget.py"
_READ = "tests/unit/gate/test_reader.py"
_ALLOWED = "tests/unit/gate/test_allowance.py"
_CLEANED = "tests/unit/gate/test_html.py"
_TEXTS = "tests/unit/gate/test_text.py"
_VALUES = "tests/unit/gate/test_values.py"
_TYPESET = "tests/unit/gate/test_mathematics.py"
_SHOWN = "tests/unit/gate/test_display.py"
_FORGED = "tests/unit/gate/test_forged_arrays.py"
_DRAWN = "tests/unit/gate/test_plots.py"
_ROWS = "tests/unit/gate/test_rows.py"


GUARDS = (
    Guard(
        "errors that a cell goes on after",
        "an error in the middle of a cell is filtered as the one that ends it",
        "hearing.py",
        "            self._error(shown_failure(read_error(message)))\n",
        "            raw = read_error(message)\n"
        "            self._error(CellFailed(raw.name, raw.text, raw.lines))\n",
        "tests/kernel/test_errors.py::test_an_error_that_the_cell_forges_is_filtered",
    ),
    Guard(
        "numbers of bars",
        "what a progress bar or a meter says of itself is a number",
        "gate/attributes.py",
        '            return value if _NUMBER.fullmatch(value) else ""\n',
        "            return value\n",
        f"{_CLEANED}::test_bars_have_numbers_and_nothing_else",
    ),
    Guard(
        "opcodes",
        "an opcode that the gate does not know is refused, and not passed over",
        _READER,
        '                else:\n                    raise refused(f"its pickle uses the opcode',
        '                else:\n                    refused(f"its pickle uses the opcode',
        f"{_READ}::test_opcodes_that_name_build_or_reach_out_do_not_exist",
    ),
    Guard(
        "names in a pickle",
        "a pickle names tags of the wire and nothing else",
        _READER,
        "    if type(module) is not str or type(name) is not str or (module, name) not in RULES:\n",
        "    if type(module) is not str or type(name) is not str:\n",
        f"{_READ}::test_only_tags_have_a_name {_READ}::test_stock_pickles_are_refused",
        also=(
            Edit(
                _READER,
                "    return RULES[module, name]\n",
                "    act = lambda _, given: getattr(import_module(module), name)(*given)\n"
                '    rule = Rule((module, name), "tags.uuid", act, 0)\n'
                "    return RULES.get((module, name)) or rule\n",
            ),
        ),
        why_also="a name that passed the check would still be looked up in the same table",
    ),
    Guard(
        "calls in a pickle",
        "a tag is called with a tuple, which nobody can change any more",
        _READER,
        "                    if type(rule) is not Rule or type(arguments) is not tuple:\n",
        "                    if type(rule) is not Rule:\n",
        f"{_READ}::test_tag_is_called_with_a_tuple_and_nothing_else",
    ),
    condition_off(
        "protocol of a pickle",
        "a pickle of another protocol is refused",
        _READER,
        '        if data[:2] != b"\\x80\\x05":\n',
        f"{_READ}::test_other_protocols_are_refused",
    ),
    condition_off(
        "rest of a pickle",
        "nothing is left over when a pickle stops",
        _READER,
        "                    if stacks or len(stack) != 1 or at != size"
        " or self._taken != len(self._buffers):\n",
        f"{_READ}::test_pickles_cut_anywhere_and_pickles_with_more_are_refused",
    ),
    condition_off(
        "open containers",
        "a pickle opens a bounded number of containers inside each other",
        _READER,
        "        if marks > _MARKS:\n",
        f"{_READ}::test_marks_without_an_end_are_refused_soon",
    ),
    condition_off(
        "length of a pickle",
        "what is read step by step is bounded",
        _READER,
        "        if at - self._apart > IN_BAND:\n",
        f"{_ALLOWED}::test_the_stream_is_capped_and_long_texts_are_apart",
    ),
    condition_off(
        "length of a stream",
        "a pickle of any size is not copied",
        _READER,
        "    if len(data) > STREAM:\n",
        f"{_ALLOWED}::test_the_stream_is_capped_and_long_texts_are_apart",
    ),
    condition_off(
        "values that contain themselves",
        "no container changes once it is part of another",
        _READER,
        "        if id(value) in self._budget.shared:\n",
        f"{_READ}::test_cycles_are_withheld_with_that_reason"
        f" {_READ}::test_what_was_used_never_changes_again",
    ),
    Guard(
        "repeated keys",
        "a long key is not compared again and again",
        _READER,
        '        if len(target) != size:\n            raise refused("its pickle repeats a key',
        '        if False:\n            raise refused("its pickle repeats a key',
        f"{_READ}::test_repeated_keys_are_refused",
    ),
    condition_off(
        "long integers",
        "an integer has a bounded length",
        _READER,
        "                    if not 0 <= length <= _LONGEST_INT:\n",
        f"{_READ}::test_odd_integers_frames_and_texts_are_refused",
    ),
    condition_off(
        "buffers in a memo",
        "two values never use the same memory",
        _READER,
        "        if type(value) is memoryview:\n",
        f"{_READ}::test_two_arrays_never_share_a_buffer",
    ),
    condition_off(
        "budget of work",
        "rebuilding a value takes time in proportion to its size",
        _BUDGET,
        "        if self._work < 0:\n",
        _BUDGETED,
    ),
    condition_off(
        "budget of memory",
        "a value takes memory in proportion to its size",
        _BUDGET,
        "        if size > self._memory:\n",
        _BUDGETED,
    ),
    condition_off(
        "depth of containers",
        "a value nests no deeper than it can be printed and freed",
        _BUDGET,
        "        if (1 if known is None else known[0]) > room:\n",
        f"{_READ}::test_deep_nesting_is_refused",
    ),
    Guard(
        "depth of objects",
        "objects that hold each other are freed within the C stack",
        _BUDGET,
        "        if known[0] > room:\n",
        "        if False:\n",
        f"{_READ}::test_objects_that_free_each_other_recursively_stay_shallow",
        also=(Edit(_BUDGET, "        if depth > DEPTH:\n", "        if False:\n"),),
        why_also="what is too deep is refused when it is made, or else when it is used",
    ),
    Guard(
        "items of a key",
        "a key is hashed in bounded time",
        _BUDGET,
        "                left -= len(item)\n                if left < 0:\n",
        "                left -= len(item)\n                if False:\n",
        f"{_BUDGETED}::test_key_is_refused_before_it_is_hashed",
        also=(
            Edit(
                _BUDGET,
                "(0, 1))[1] - 1\n                if left < 0:\n",
                "(0, 1))[1] - 1\n                if False:\n",
            ),
        ),
        why_also="an item that is no container asks the same question of what its container left",
    ),
    condition_off(
        "equal hashes",
        "keys that collide do not take quadratic time",
        _BUDGET,
        "            if self._again[one] >= EQUAL_HASHES:\n",
        f"{_READ}::test_keys_that_collide_are_refused"
        f" {_READ}::test_keys_that_collide_one_by_one_are_refused",
    ),
    condition_off(
        "tags as values",
        "nothing of the reader's own is part of a value",
        _BUDGET,
        "        if cls in self._unusable:\n",
        f"{_READ}::test_a_tag_is_never_a_value",
    ),
    condition_off(
        "memory of an array",
        "two arrays never use the same memory",
        _BUDGET,
        "        if id(value) in self._claimed or id(value) in self.shared:\n",
        f"{_READ}::test_two_values_never_share_memory_that_can_change",
    ),
    condition_off(
        "time of all values",
        "the kernel answers again after two seconds",
        _ALLOWANCE,
        "        if monotonic() + microseconds * 1e-6 > self._deadline:\n",
        f"{_ALLOWED}::test_all_values_of_a_run_share_the_time",
    ),
    condition_off(
        "memory of all values",
        "all values of a cell take a bounded part of the kernel's memory",
        _ALLOWANCE,
        "        if self._memory < 0:\n",
        f"{_ALLOWED}::test_all_values_of_a_run_share_the_memory",
    ),
    condition_off(
        "types of arguments",
        "a tag gets arguments of exactly its types",
        "gate/rules.py",
        "        if type(value) is not kind and"
        " (type(kind) is type or type(value) not in kind):  # type: ignore[operator]\n",
        f"{_FORGED}",
    ),
    condition_off(
        "dtypes",
        "an array has one of the listed dtypes",
        "gate/arrays.py",
        "    if type(layout) is not str or len(layout) > 24 or _DTYPE.fullmatch(layout) is None:\n",
        f"{_FORGED}::test_dtypes_outside_the_list_are_refused",
    ),
    condition_off(
        "shapes",
        "an array's shape accounts for every byte of its buffer",
        "gate/arrays.py",
        '    if order not in {"C", "F"} or size != len(raw):\n',
        f"{_FORGED}::test_shapes_that_do_not_fit_are_refused"
        f" {_FORGED}::test_other_orders_are_refused",
    ),
    condition_off(
        "booleans and characters",
        "an array holds no item that NumPy takes for granted and is not",
        "gate/arrays.py",
        '    if flat.view(unit).max() > (1 if dtype.kind == "b" else 0x10FFFF):\n',
        f"{_FORGED}::test_booleans_are_zero_or_one {_FORGED}::test_characters_are_code_points",
    ),
    condition_off(
        "only names after -o",
        "a value comes back only where it was asked for",
        "gate/values.py",
        "    if name not in asked:\n",
        f"{_VALUES}::test_names_that_nobody_asked_for_break_the_wire",
    ),
    Guard(
        "HTML tags",
        "no script, form, frame or link of the cell reaches the page",
        _HTML,
        "        if name not in TAGS:\n            return\n",
        "        if False:\n            return\n",
        f"{_CLEANED}::test_first_pass_alone_writes_what_is_listed",
    ),
    Guard(
        "HTML by two parsers",
        "what the first pass misreads, a browser's parser reads again",
        _HTML,
        "    return nh3.clean(\n        tidied,\n",
        "    return (lambda tidied, **_: tidied)(\n        tidied,\n",
        f"{_CLEANED}",
    ),
    condition_off(
        "size of HTML",
        "HTML is cleaned in bounded time",
        _HTML,
        '    if len(text) > _SIZE or text.count("<") > _MARKS:\n',
        f"{_CLEANED}::test_size_and_signs_alone_are_refused",
    ),
    condition_off(
        "depth of HTML",
        "HTML nests no deeper than it is cleaned in linear time",
        _HTML,
        "            if len(self._open) > _DEPTH or self._ampersands > _AMPERSANDS:\n",
        f"{_CLEANED}::test_too_large_and_too_deep_are_refused"
        f" {_CLEANED}::test_hostile_megabytes_take_no_time",
    ),
    Guard(
        "HTML attributes",
        "no handler, id or name is written",
        _ATTRIBUTES,
        '        if key in kept or (key not in {"class", "style"} and',
        "        if key in kept or (False and",
        f"{_CLEANED}::test_first_pass_alone_writes_what_is_listed",
    ),
    Guard(
        "image addresses",
        "no page of the notebook loads what the cell names",
        _ATTRIBUTES,
        '    return f"data:{match[1]};base64,{data}" if match and data else ""\n',
        '    return f"data:{match[1]};base64,{data}" if match and data else value\n',
        f"{_CLEANED}",
    ),
    Guard(
        "properties of styles",
        "nothing is moved over the page",
        "gate/styles.py",
        "            name in _PROPERTIES\n            and",
        "            name\n            and",
        f"{_CLEANED}::test_styles_load_and_move_nothing",
    ),
    Guard(
        "values of styles",
        "a style loads nothing",
        "gate/styles.py",
        "            and _VALUE.fullmatch(value)\n",
        "",
        f"{_CLEANED}::test_styles_load_and_move_nothing",
    ),
    Guard(
        "functions of styles",
        "a style calls no function that is not listed",
        "gate/styles.py",
        "            and {match[1].lower() for match in _FUNCTION.finditer(value)} <= _FUNCTIONS\n",
        "",
        f"{_CLEANED}::test_styles_load_and_move_nothing",
    ),
    Guard(
        "size of images",
        "no image is larger than a page can hold",
        "gate/images.py",
        "    return 0 < width <= _EDGE and 0 < height <= _EDGE and width * height <= _AREA\n",
        "    return True\n",
        f"{_CLEANED}::test_images_that_lie_are_refused",
    ),
    Guard(
        "escape sequences",
        "no sequence but a colour reaches a terminal",
        "gate/text.py",
        'mark_bidi(_REMOVED.sub("", sequences.sub("", rest)))\n',
        'mark_bidi(_REMOVED.sub("", rest))\n',
        f"{_TEXTS}::test_known_sequences",
    ),
    Guard(
        "controls",
        "no control but those of lines reaches a terminal",
        "gate/text.py",
        'mark_bidi(_REMOVED.sub("", sequences.sub("", rest)))\n',
        'mark_bidi(sequences.sub("", rest))\n',
        f"{_TEXTS}::test_output_has_the_grammar_and_is_a_fixed_point"
        f" {_TEXTS}::test_known_sequences",
    ),
    Guard(
        "reordered text",
        "a control that reorders text is shown as its number",
        "gate/text.py",
        'mark_bidi(_REMOVED.sub("", sequences.sub("", rest)))\n',
        '_REMOVED.sub("", sequences.sub("", rest))\n',
        f"{_TEXTS}::test_known_sequences"
        f" {_TEXTS}::test_output_has_the_grammar_and_is_a_fixed_point",
    ),
    Guard(
        "sequences cut in two",
        "a sequence that comes in two chunks is one",
        "gate/text.py",
        "        end = len(text) if partial is None else partial.start()\n",
        "        end = len(text)\n",
        f"{_TEXTS}::test_every_split_point_gives_the_same",
    ),
    Guard(
        "prompt on one line",
        "input() of a cell poses as nobody else's",
        "gate/text.py",
        '    return "".join(mark if mark.isprintable() else " " for mark in kept)\n',
        "    return kept\n",
        f"{_TEXTS}::test_a_prompt_cannot_leave_its_place {_TEXTS}::test_known_prompts",
    ),
    Guard(
        "types of outputs",
        "a page is shown data of listed types only",
        "gate/display.py",
        "        entry = _HANDLERS[rule.treatment](mime, value)\n",
        "        entry = _HANDLERS[rule.treatment](mime, value) or (mime, value)\n",
        f"{_SHOWN}::test_other_types_are_withheld_with_one_line",
    ),
    condition_off(
        "types withheld by the settings",
        "the settings withhold what the table would show",
        "gate/mimes.py",
        "        if mime in self.withheld or f\"{mime.partition('/')[0]}/*\" in self.withheld:\n",
        f"{_SHOWN}::test_settings_withhold_more_and_never_less",
    ),
    condition_off(
        "commands of mathematics",
        "MathJax is given listed commands only",
        "gate/mathematics.py",
        "        if not {name[1] for name in _COMMAND.finditer(text) if name[1]} <= _COMMANDS:\n",
        f"{_TYPESET}::test_commands_that_do_more_than_draw_are_not",
    ),
    Guard(
        "commands from parts",
        "a command is judged as it stands on the page, with what stood between its parts gone",
        _HTML,
        "        self._pieces.append(text)\n",
        "        self._pieces.append(text)\n        self._write('')\n",
        f"{_TYPESET}::test_no_command_is_put_together_from_parts",
    ),
    Guard(
        "mathematics alone",
        "LaTeX that does more than draw is shown as text",
        "gate/display.py",
        '    return ("text/latex", cleaned) if is_harmless(cleaned) else None\n',
        '    return ("text/latex", cleaned)\n',
        f"{_SHOWN}::test_latex_that_only_draws_is_typeset",
    ),
    Guard(
        "HTML in Markdown",
        "what Markdown becomes is cleaned as HTML is",
        "gate/markdown.py",
        "    return clean_html(_parser().render(clean_text(text, _SIZE)))\n",
        "    return str(_parser().render(clean_text(text, _SIZE)))\n",
        "tests/unit/gate/test_markdown.py::test_known_sources",
    ),
    Guard(
        "display ids",
        "a cell updates its own outputs only",
        "gate/display.py",
        '            known = self._names[name] = f"kavach-{self._prefix}-{len(self._names)}"\n',
        "            known = self._names[name] = name\n",
        f"{_SHOWN}::test_display_ids_are_renamed_and_reach_their_own_cell_only",
    ),
    Guard(
        "names of exceptions",
        "the name of an exception is an identifier",
        "gate/failures.py",
        '    return last if is_name else "Exception"\n',
        "    return last\n",
        f"{_VALUES}::test_failures_are_text_with_an_identifier_for_a_name",
    ),
    Guard(
        "escaped texts of what stays outside",
        "the words of a cell are no markup",
        "gate/withheld.py",
        'f"<pre>{escape(self.shown)}</pre>"',
        'f"<pre>{self.shown}</pre>"',
        f"{_VALUES}::test_withheld_is_text_and_escaped",
    ),
    Guard(
        "selectors of sheets",
        "a rule styles the elements that its selector fits",
        "gate/stylesheets.py",
        "            if at < 0 or not _is(compound, around[at]):\n",
        "            if at < 0:\n",
        "tests/unit/gate/test_stylesheets.py::test_other_selectors_mean_nothing",
    ),
    Guard(
        "declarations of sheets",
        "a sheet may say what a style attribute may",
        "gate/stylesheets.py",
        "            style = _pairs(clean_style(body))\n",
        '            style = tuple(one.partition(":")[::2] for one in body.split(";"))\n',
        "tests/unit/gate/test_stylesheets.py::test_declarations_are_cleaned_and_at_rules_pass_over",
        also=(
            Edit(
                "gate/element_styles.py",
                '        return clean_style(f"{style}; {own}")\n',
                '        return f"{style}; {own}"\n',
            ),
        ),
        why_also="the style of an element is cleaned once more when both are joined",
    ),
    condition_off(
        "number of displays",
        "a page gets no more displays than it can hold",
        "gate/pace.py",
        "        if self._count >= OUTPUTS:\n",
        "tests/unit/gate/test_pace.py::test_displays_beyond_what_a_page_holds_are_one_line",
    ),
    condition_off(
        "pace of updates",
        "updates come no faster than an eye can follow",
        "gate/pace.py",
        "        if self._tokens < 1.0:\n",
        "tests/unit/gate/test_pace.py::test_updates_beyond_the_rate_are_left_out_but_for_the_last",
    ),
    Guard(
        "figures as text",
        "no text of a figure is markup of the page",
        "gate/plots.py",
        'data-figure="{escape(clean_text(text, _SIZE))}"',
        'data-figure="{clean_text(text, _SIZE)}"',
        f"{_DRAWN}::test_a_figure_is_text_on_the_page",
    ),
    condition_off(
        "size of figures",
        "a page gets no more of a figure than it can draw",
        "gate/plots.py",
        "    if len(text) > _SIZE:\n",
        f"{_DRAWN}::test_what_is_no_figure_is_withheld",
    ),
    Guard(
        "origin of figures",
        "a figure is drawn in a frame that has no origin",
        "gate/plots.py",
        '    outer.sandbox = "allow-scripts";\n',
        '    outer.sandbox = "allow-scripts allow-same-origin";\n',
        f"{_DRAWN}::test_both_frames_have_no_origin_and_load_nothing",
    ),
    Guard(
        "loads of figures",
        "a figure loads nothing",
        "gate/plots.py",
        "    \"default-src 'none'; script-src",
        '    "default-src *; script-src',
        f"{_DRAWN}::test_both_frames_have_no_origin_and_load_nothing",
    ),
    Guard(
        "plotly.js as text",
        "the library ends no script element that it is handed on by",
        "gate/plots.py",
        '    return json.dumps(value, allow_nan=False).replace("<", "\\\\u003c")',
        "    return json.dumps(value, allow_nan=False)",
        f"{_DRAWN}::test_the_library_is_text_that_ends_no_script",
        also=(
            Edit(
                "gate/plots.py",
                'source.replace("</script", "<\\\\/script").replace("<!--", "<\\\\!--")',
                "source",
            ),
        ),
        why_also="the end tag is written in another way, and once more for the page's own script",
    ),
    Guard(
        "rows of a terminal",
        "no text of a cell goes above where the cell began",
        "gate/rows.py",
        "            rows = min(max(1, int(number or 1)), self._row)\n",
        "            rows = max(1, int(number or 1))\n",
        f"{_ROWS}::test_no_text_goes_above_the_first_row",
    ),
    Guard(
        "rows of others",
        "what the sandbox says on a terminal is not written over",
        "gate/rows.py",
        "        self._row = self._last = 0\n        return below\n",
        "        return below\n",
        f"{_ROWS}::test_what_others_print_stands_below_and_is_out_of_reach",
    ),
)
