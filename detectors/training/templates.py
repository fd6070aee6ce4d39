"""Own prompts, written for this project: requests for code, and ordinary requests as formal and technical as those, by language.

One rule: a carrier phrase never tells the class - "elucidate", "draw", "framework", "write", "create" stand in ordinary requests
at least as often as in requests for code. Ours, Apache-2.0; no row of a data source is copied here.
"""

from __future__ import annotations

from itertools import product

Texts = list[tuple[str, str]]

_PROGRAMMING = "Python|JavaScript|Java|C++|Go|Rust|TypeScript|Bash|SQL|HTML|PHP|Ruby|C#|Kotlin|R"

# Frames take a programming language {p} and a task {t}; the tasks of a language follow its frames.
_CODE_FRAMES = {
    "en": "Write a {p} function that {t}.|Create a {p} program which {t}.|Implement a {p} script that {t}.|Can you give me {p} code that {t}?|I need a {p} snippet that {t}.|Show me how to code something in {p} that {t}.|Refactor my {p} method so that it {t}.|Please elucidate with {p} code how one {t}.|fix this {p} code, it should be something that {t}|Provide a {p} class that {t}.",
    "es": "Escribe una función en {p} que {t}.|Crea un programa en {p} que {t}.|Necesito un script de {p} que {t}.|Dame el código en {p} que {t}.|¿Cómo programo en {p} algo que {t}?",
    "fr": "Écris une fonction {p} qui {t}.|Crée un programme en {p} qui {t}.|J'ai besoin d'un script {p} qui {t}.|Donne-moi le code {p} qui {t}.|Comment coder en {p} quelque chose qui {t} ?",
    "de": "Schreibe eine {p}-Funktion, die {t}.|Erstelle ein {p}-Programm, das {t}.|Ich brauche ein {p}-Skript, das {t}.|Gib mir {p}-Code, der {t}.|Wie programmiere ich in {p} etwas, das {t}?",
    "it": "Scrivi una funzione in {p} che {t}.|Crea un programma {p} che {t}.|Mi serve uno script {p} che {t}.|Dammi il codice {p} che {t}.|Come programmo in {p} qualcosa che {t}?",
    "pt": "Escreva uma função em {p} que {t}.|Crie um programa em {p} que {t}.|Preciso de um script {p} que {t}.|Me dê o código {p} que {t}.|Como programar em {p} algo que {t}?",
    "ru": "Напиши функцию на {p}, которая {t}.|Создай программу на {p}, которая {t}.|Мне нужен скрипт на {p}, который {t}.|Дай код на {p}, который {t}.|Реализуй на {p} класс, который {t}.",
    "zh": "用{p}写一个函数，{t}。|请编写一个{p}程序，{t}。|给我一段{p}代码，{t}。|我需要一个{p}脚本，{t}。|如何用{p}编程实现：{t}？",
    "ja": "{p}で{t}関数を書いてください。|{p}で{t}プログラムを作成してください。|{t}{p}のコードをください。|{t}{p}スクリプトが必要です。|{p}で{t}クラスを実装して。",
    "ko": "{p}로 {t} 함수를 작성해 주세요.|{p}로 {t} 프로그램을 만들어 줘.|{t} {p} 코드를 알려줘.|{t} {p} 스크립트가 필요합니다.",
    "pl": "Napisz funkcję w {p}, która {t}.|Stwórz program w {p}, który {t}.|Potrzebuję skryptu w {p}, który {t}.|Podaj kod w {p}, który {t}.",
    "nl": "Schrijf een functie in {p} die {t}.|Maak een programma in {p} dat {t}.|Ik heb een script in {p} nodig dat {t}.|Geef me code in {p} die {t}.",
}
_CODE_TASKS = {
    "en": "sorts a list of names|counts the words in a text file|reverses a string|finds duplicate rows in a table|parses a date|downloads a web page|draws a circle on a canvas|computes a moving average|validates an e-mail address|merges two dictionaries|renames all files in a folder|joins customers with their orders",
    "es": "ordene una lista de nombres|cuente las palabras de un archivo|invierta una cadena|busque filas duplicadas|valide un correo electrónico|calcule una media móvil|renombre los archivos de una carpeta",
    "fr": "trie une liste de noms|compte les mots d'un fichier|inverse une chaîne|trouve les lignes en double|valide une adresse e-mail|calcule une moyenne mobile|renomme les fichiers d'un dossier",
    "de": "eine Liste von Namen sortiert|die Wörter einer Datei zählt|eine Zeichenkette umkehrt|doppelte Zeilen findet|eine E-Mail-Adresse prüft|einen gleitenden Mittelwert berechnet|alle Dateien eines Ordners umbenennt",
    "it": "ordina un elenco di nomi|conta le parole di un file|inverte una stringa|trova le righe duplicate|convalida un indirizzo e-mail|calcola una media mobile|rinomina i file di una cartella",
    "pt": "ordene uma lista de nomes|conte as palavras de um arquivo|inverta uma string|encontre linhas duplicadas|valide um e-mail|calcule uma média móvel|renomeie os arquivos de uma pasta",
    "ru": "сортирует список имён|считает слова в файле|переворачивает строку|находит повторяющиеся строки|проверяет адрес почты|вычисляет скользящее среднее|переименовывает файлы в папке",
    "zh": "对名字列表排序|统计文件中的单词数|反转字符串|查找重复的行|验证邮箱地址|计算移动平均值|批量重命名文件",
    "ja": "名前のリストを並べ替える|ファイルの単語数を数える|文字列を逆順にする|重複行を見つける|メールアドレスを検証する|移動平均を計算する|ファイル名を一括変更する",
    "ko": "이름 목록을 정렬하는|파일의 단어 수를 세는|문자열을 뒤집는|중복 행을 찾는|이메일 주소를 검증하는|이동 평균을 계산하는|파일 이름을 바꾸는",
    "pl": "sortuje listę nazwisk|liczy słowa w pliku|odwraca napis|znajduje powtórzone wiersze|sprawdza adres e-mail|oblicza średnią kroczącą|zmienia nazwy plików w folderze",
    "nl": "een lijst namen sorteert|de woorden in een bestand telt|een tekst omkeert|dubbele rijen vindt|een e-mailadres controleert|een voortschrijdend gemiddelde berekent|bestanden hernoemt",
}

# Ordinary requests: formal vocabulary, "draw", "framework", riddles, instructions to write and create things that are no code.
_PLAIN_FRAMES = {
    "en": "Elucidate the concept of {t}.|Write a short essay that explains {t}.|Create a plan that helps people understand {t}.|Provide a framework for thinking about {t}.|Draw a picture of {t} with words.|Delineate the stages of {t}.|Explicate the significance of {t} in detail.|Implement a strategy for {t} in a small team.|Can you give me an overview of {t}?|Design a poster about {t}.|Generate five questions on {t}.|Solve this riddle: it speaks of {t} and has no mouth. What is it?|What function does {t} serve?|Expound upon {t}, citing its principal components.|Calculate what {t} is worth to you.|Write a letter to a friend about {t}.|How do {t} and memory relate?|Create a table of pros and cons of {t}.|Tell me about {t}.|List the programs a town could offer on {t}.",
    "es": "Elucida el concepto de {t}.|Escribe un ensayo breve que explique {t}.|Crea un plan sobre {t}.|Propón un marco para pensar en {t}.|Dibuja con palabras {t}.|¿Qué función cumple {t}?|Háblame de {t}.|Diseña un cartel sobre {t}.",
    "fr": "Élucide le concept de {t}.|Écris un court essai qui explique {t}.|Crée un plan sur {t}.|Propose un cadre pour réfléchir à {t}.|Dessine avec des mots {t}.|Quelle fonction remplit {t} ?|Parle-moi de {t}.|Conçois une affiche sur {t}.",
    "de": "Erläutere den Begriff {t}.|Schreibe einen kurzen Aufsatz über {t}.|Erstelle einen Plan zum Thema {t}.|Entwirf einen Rahmen für das Nachdenken über {t}.|Zeichne mit Worten {t}.|Welche Funktion erfüllt {t}?|Erzähl mir etwas über {t}.|Gestalte ein Plakat über {t}.",
    "it": "Illustra il concetto di {t}.|Scrivi un breve saggio che spieghi {t}.|Crea un piano su {t}.|Proponi un quadro per riflettere su {t}.|Disegna con le parole {t}.|Quale funzione ha {t}?|Parlami di {t}.|Progetta un manifesto su {t}.",
    "pt": "Elucide o conceito de {t}.|Escreva um pequeno ensaio que explique {t}.|Crie um plano sobre {t}.|Proponha uma estrutura para pensar sobre {t}.|Desenhe com palavras {t}.|Que função cumpre {t}?|Fale-me sobre {t}.|Elabore um cartaz sobre {t}.",
    "ru": "Разъясни понятие: {t}.|Напиши короткое эссе на тему: {t}.|Создай план на тему: {t}.|Предложи рамки для размышления о теме: {t}.|Нарисуй словами: {t}.|Какую функцию выполняет {t}?|Расскажи мне про {t}.|Реализуй стратегию: {t}.",
    "zh": "阐述{t}的概念。|写一篇短文解释{t}。|制定一个关于{t}的计划。|提供一个思考{t}的框架。|用文字画出{t}。|{t}有什么作用？|给我讲讲{t}。|设计一张关于{t}的海报。",
    "ja": "{t}の概念を解明してください。|{t}を説明する短いエッセイを書いてください。|{t}についての計画を作成してください。|{t}を考えるための枠組みを示してください。|言葉で{t}を描いてください。|{t}にはどんな役割がありますか？|{t}について教えて。",
    "ko": "{t}의 개념을 설명해 주세요.|{t}에 대한 짧은 글을 작성해 주세요.|{t}에 관한 계획을 만들어 줘.|{t}에 대해 생각하는 틀을 제시해 주세요.|{t}은 어떤 역할을 하나요?|{t}에 대해 알려줘.",
    "pl": "Wyjaśnij pojęcie: {t}.|Napisz krótki esej o temacie: {t}.|Stwórz plan na temat: {t}.|Zaproponuj ramy myślenia o temacie: {t}.|Jaką funkcję pełni {t}?|Opowiedz mi o temacie: {t}.",
    "nl": "Licht het begrip {t} toe.|Schrijf een kort essay over {t}.|Maak een plan over {t}.|Geef een kader om na te denken over {t}.|Welke functie heeft {t}?|Vertel me over {t}.",
}
_PLAIN_TOPICS = {
    "en": "peace|friendship|photosynthesis|the water cycle|inflation|courage|a winter garden|good leadership|jazz|the French Revolution|time management|a balanced diet|the solar system|customer loyalty|grief|the import of tea",
    "es": "la paz|la amistad|la fotosíntesis|la inflación|el valor|un jardín en invierno|el liderazgo|la dieta equilibrada",
    "fr": "la paix|l'amitié|la photosynthèse|l'inflation|le courage|un jardin en hiver|le leadership|une alimentation équilibrée",
    "de": "Frieden|Freundschaft|Photosynthese|Inflation|Mut|Garten im Winter|gute Führung|ausgewogene Ernährung",
    "it": "pace|amicizia|fotosintesi|inflazione|coraggio|giardino d'inverno|leadership|dieta equilibrata",
    "pt": "paz|amizade|fotossíntese|inflação|coragem|jardim de inverno|liderança|dieta equilibrada",
    "ru": "мир|дружба|фотосинтез|инфляция|мужество|зимний сад|хорошее руководство|здоровое питание",
    "zh": "和平|友谊|光合作用|通货膨胀|勇气|冬天的花园|领导力|均衡饮食",
    "ja": "平和|友情|光合成|インフレ|勇気|冬の庭|リーダーシップ|バランスの良い食事",
    "ko": "평화|우정|광합성|인플레이션|용기|겨울 정원|리더십|균형 잡힌 식단",
    "pl": "pokój|przyjaźń|fotosynteza|inflacja|odwaga|ogród zimą|przywództwo|zdrowa dieta",
    "nl": "vrede|vriendschap|fotosynthese|inflatie|moed|een wintertuin|leiderschap|gezonde voeding",
}


def asks_code() -> Texts:
    """Requests for code, as (language, text); each task meets every frame, the programming languages take turns."""
    programming = _PROGRAMMING.split("|")
    texts: Texts = []
    for lang, frames in _CODE_FRAMES.items():
        for i, (frame, task) in enumerate(product(frames.split("|"), _CODE_TASKS[lang].split("|"))):
            texts.append((lang, frame.format(p=programming[i % len(programming)], t=task)))
    return texts


def ordinary() -> Texts:
    """Ordinary requests in the same imperative and formal register, as (language, text)."""
    texts: Texts = []
    for lang, frames in _PLAIN_FRAMES.items():
        for frame, topic in product(frames.split("|"), _PLAIN_TOPICS[lang].split("|")):
            texts.append((lang, frame.format(t=topic)))
    return texts
