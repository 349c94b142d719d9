//! What `printf` prints.

/// Template and expectation, over the data of the module above.
pub(super) const PRINTF: &[(&str, &str)] = &[
    (
        r#"{{printf "%s|%10s|%-10s|%.2s|%5.1s|%q|%+q|%#q|%x|%X|% x|%#x" "é" "abc" "abc" "abc" "abc" "a\"é\n" "é" "a" "abc" "abc" "abc" "abc"}}"#,
        r#"é|       abc|abc       |ab|    a|"a\"é\n"|"\u00e9"|`a`|616263|616263|61 62 63|0x616263"#,
    ),
    (
        r#"{{printf "%d|%5d|%-5d|%05d|%+d|% d|%x|%X|%#x|%o|%#o|%O|%b|%c|%q|%U|%#U|%v|%T" 42 42 42 42 42 42 255 255 255 8 8 8 5 65 65 65 65 7 7}}"#,
        "42|   42|42   |00042|+42| 42|ff|FF|0xff|10|010|0o10|101|A|'A'|U+0041|U+0041 'A'|7|int",
    ),
    (
        r#"{{printf "%05d|%.3d|%8.3d|%-08d|%x|%+05d|%,d" -42 7 7 7 -255 3 3}}"#,
        "-0042|007|     007|7       |-ff|+0003|%!,(int=3)d",
    ),
    (
        r#"{{printf "%f|%.2f|%8.3f|%-8.1f|%08.2f|%+f|%e|%.1e|%g|%G|%E|%v|%.3g|%.10g|%6.2f%%" 1.5 1.005 3.14159 2.5 -3.5 1.0 123456.789 123456.789 1e-7 1e21 1.5 2.0 1234.5678 1234.5678 99.5}}"#,
        "1.500000|1.00|   3.142|2.5     |-0003.50|+1.000000|1.234568e+05|1.2e+05|1e-07|1E+21|1.500000E+00|2|1.23e+03|1234.5678| 99.50%",
    ),
    (r#"{{printf "%t|%5t|%v|%q|%s" true false true true true}}"#, "true|false|true|%!q(bool=true)|%!s(bool=true)"),
    (r#"{{printf "%d %s %t %f" "a" 1 1 1}}"#, "%!d(string=a) %!s(int=1) %!t(int=1) %!f(int=1)"),
    (
        r#"{{printf "%d"}} {{printf "a" 1 "b"}} {{printf "%z" 1}} {{printf "%"}} {{printf "%5"}} {{printf "%-"}} {{printf "100%"}}"#,
        "%!d(MISSING) a%!(EXTRA int=1, string=b) %!z(int=1) %!(NOVERB) %!(NOVERB) %!(NOVERB) 100%!(NOVERB)",
    ),
    (
        r#"{{printf "%*d|%-*d|%.*f" 5 42 5 42 2 3.14159}} {{printf "%*d" "a" 1}} {{printf "%.*f" "a" 1.0}} {{printf "%*d" -5 1}}|"#,
        "   42|42   |3.14 %!(BADWIDTH)1 %!(BADPREC)1.000000 1    |",
    ),
    (
        r#"{{printf "%[2]s %[1]s" "a" "b"}} {{printf "%[3]s" "a"}} {{printf "%[x]s" "a"}} {{printf "%[1]s %s" "a" "b"}} {{printf "%[1]s" "a" "b"}} {{printf "%[1" "a"}}"#,
        "b a %!s(BADINDEX) %!s(BADINDEX) a b a %!(NOVERB)",
    ),
    (
        r#"{{printf "%v|%+v|%#v|%T|%s|%d|%q|%x" $.l $.l $.l $.l $.l $.l $.l $.l}}"#,
        r#"[a b c]|[a b c]|[]interface {}{"a", "b", "c"}|[]interface {}|[a b c]|[%!d(string=a) %!d(string=b) %!d(string=c)]|["a" "b" "c"]|[61 62 63]"#,
    ),
    (
        r#"{{printf "%v|%+v|%#v|%T|%s|%d|%q" $.m $.m $.m $.m $.m $.m $.m}}"#,
        r#"map[a:2 z:1]|map[a:2 z:1]|map[string]interface {}{"a":"2", "z":"1"}|map[string]interface {}|map[a:2 z:1]|map[%!d(string=a):%!d(string=2) %!d(string=z):%!d(string=1)]|map["a":"2" "z":"1"]"#,
    ),
    (
        r#"{{printf "%v|%#v|%T|%s|%d|%5v|%q" nil nil nil nil nil nil nil}}"#,
        "<nil>|<nil>|<nil>|%!s(<nil>)|%!d(<nil>)|<nil>|%!q(<nil>)",
    ),
    (
        r#"{{printf "%T %T %T %T %T %T" 1 1.0 "a" true 'a' $.i}} {{printf "%#v %#v %#v %#v" 1 1.0 "a" true}} {{printf "%#v" 1e6}}"#,
        r#"int float64 string bool int float64 1 1 "a" true 1e+06"#,
    ),
    (
        r#"{{printf "%v %d %s" (split "a,b" ",") (split "a,b" ",") (split "a,b" ",")}} {{printf "%#v %T" (split "a,b" ",") (split "a,b" ",")}}"#,
        r#"[a b] [%!d(string=a) %!d(string=b)] [a b] []string{"a", "b"} []string"#,
    ),
    (
        r#"{{printf "%10v|%-10v|%010d|%-5s|%05s|%5q" $.l $.l 5 "é" "ab" "a"}}"#,
        r#"[         a          b          c]|[a          b          c         ]|0000000005|é    |000ab|  "a""#,
    ),
    (
        r#"{{printf "%s" $.f}} {{printf "%d" $.f}} {{printf "%v" $.ln}} {{printf "%s" $.ln}} {{printf "%d" $.ln}}"#,
        "%!s(float64=1.5) %!d(float64=1.5) [1 <nil> 2.5] [%!s(float64=1) <nil> %!s(float64=2.5)] [%!d(float64=1) <nil> %!d(float64=2.5)]",
    ),
    (
        r#"{{printf "%p" 1}} {{printf "%w" "a"}} {{printf "%é" 1}} {{printf "%!d" 1}} {{printf "% d|% d" 5 -5}} {{printf "%+ d" 5}} {{printf "%-+5d|" 5}}"#,
        "%!p(int=1) %!w(string=a) %!é(int=1) %!!(int=1)d  5|-5 +5 +5   |",
    ),
    (
        r#"{{printf "%.0f %.0f %.0f %.1f" 0.5 1.5 2.5 0.25}} {{printf "%.3d|%.0d|%5.0d|" 0 0 0}} {{printf "%#b %#O %#X" 5 8 255}}"#,
        "0 2 2 0.2 000||     | 0b101 0o010 0XFF",
    ),
    (
        r#"{{printf "%q %q" "\x00\u200b\ufeff\t\a" "\U0001F600"}} {{printf "%+q" "\U0001F600é\n"}} {{printf "%#q" "a`b"}} {{printf "%#q" "a\nb"}}"#,
        r#""\x00\u200b\ufeff\t\a" "😀" "\U0001f600\u00e9\n" "a`b" "a\nb""#,
    ),
    (
        r#"{{printf "%v %v" 1e20 1e-5}} {{printf "%v" 123456789.0}} {{print 1.0 2.5 1e100}} {{printf "%6v|%-6v|" 1 true}} {{printf "%x|%X|% x" $.l "hi" (split "ab,c" ",")}}"#,
        "1e+20 1e-05 1.23456789e+08 1 2.5 1e+100      1|true  | [61 62 63]|6869|[61 62 63]",
    ),
    (
        r#"{{printf "%[2]*[1]d" 7 5}} {{printf "%[1]d %[1]x" 255}} {{printf "%d %d" 1}} {{printf "%s %[5]d" "a"}} {{printf "%[0]d" 1}} {{printf "%[-1]d" 1}} {{printf "%.d|%.f" 0 1.5}} {{printf "%.-3d" 1}}"#,
        "    7 255 ff 1 %!d(MISSING) a %!d(BADINDEX) %!d(BADINDEX) %!d(BADINDEX) |2 %!-(int=1)3d",
    ),
    (
        r#"{{printf "%U %#U" 0x1F600 7}} {{printf "%c|%c" -1 1114112}} {{printf "%q" 1114112}} {{printf "%5c|%-5c|%05c" 65 65 65}} {{printf "%5t|%-7t|%07t" true true true}}"#,
        "U+1F600 U+0007 �|� '�'     A|A    |0000A  true|true   |000true",
    ),
];
